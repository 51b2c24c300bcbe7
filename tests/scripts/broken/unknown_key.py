import json

def init():
    global factors
    factors = {"km": 1.0}


def run(data):
    unit = json.loads(data)["unit"]
    return factors[unit]
