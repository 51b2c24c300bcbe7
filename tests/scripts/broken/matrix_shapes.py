import numpy as np

def init():
    pass


def run(data):
    return np.zeros((2, 3)) @ np.zeros((4, 2))
