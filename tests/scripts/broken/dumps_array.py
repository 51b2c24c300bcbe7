import json

import numpy as np

def init():
    pass


def run(data):
    return json.dumps({"result": np.zeros(2)})
