import json

def init():
    pass


def run(data):
    parsed = json.loads(data)
    return parsed["data"]
