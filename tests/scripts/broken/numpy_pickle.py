import io

import numpy as np

def init():
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object))
    file.seek(0)
    np.load(file)


def run(data):
    return data
