import json

CONFIG = json.loads("{'a': 1}")

def init():
    pass


def run(data):
    return data
