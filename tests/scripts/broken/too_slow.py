import time

def init():
    pass


def run(data):
    time.sleep(60)
