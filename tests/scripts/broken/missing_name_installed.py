from json import loadz

def init():
    pass


def run(data):
    return data
