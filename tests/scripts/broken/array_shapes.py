import numpy as np

def init():
    pass


def run(data):
    return np.zeros(3) + np.zeros(4)
