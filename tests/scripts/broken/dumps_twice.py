import json

def init():
    pass


def run(data):
    return json.dumps({"a": 1})
