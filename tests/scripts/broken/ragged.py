import numpy as np

def init():
    pass


def run(data):
    return np.array([[1, 2], [3]], dtype=float)
