import numpy as np

def init():
    pass


def run(data):
    rows = np.array([[1, "a"], [2, None]], dtype=object)
    return np.isnan(rows).any()
