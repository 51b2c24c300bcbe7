import numpy
import numpy.linalgebra

def init():
    pass


def run(data):
    return data
