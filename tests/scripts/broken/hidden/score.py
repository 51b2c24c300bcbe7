from calendar import holidays

def init():
    pass


def run(data):
    return data
