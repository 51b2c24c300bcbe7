import numpy as np

def init():
    pass


def run(data):
    return np.zeros(5).reshape(2, 3)
