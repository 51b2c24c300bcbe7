"""An answer sent piece by piece, as a language model writes it."""

import json


def init():
    """Called once, before the first request."""


def run(data):
    """A generator: every item is sent as soon as it is there."""
    for word in json.loads(data)["prompt"].split():
        yield word.upper() + " "
    yield "\n"
