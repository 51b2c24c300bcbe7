"""The smallest entry script. Loading a model is played by a pause of one second."""

import time


def init():
    time.sleep(1)


def run(data):
    return {"message": "Hello, World!"}
