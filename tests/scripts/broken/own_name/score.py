from features import scail

def init():
    pass


def run(data):
    return data
