from colorsys import rgb_to_hsv

def init():
    pass


def run(data):
    return data
