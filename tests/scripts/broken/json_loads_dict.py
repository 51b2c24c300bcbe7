import json

def init():
    pass


def run(data):
    parsed = json.loads(data)
    return json.loads(parsed)
