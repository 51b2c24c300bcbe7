"""An answer sent piece by piece, as a text model writes it; here it repeats the question."""

import json


def init():
    pass


def run(data):
    for word in json.loads(data)["prompt"].split():
        yield word + " "
    yield "\n"
