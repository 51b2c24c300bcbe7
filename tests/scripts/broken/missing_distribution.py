import serial

def init():
    pass


def run(data):
    return data
