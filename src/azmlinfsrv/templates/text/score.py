"""Kilometres of a distance, to start from: JSON in, JSON out."""

import json

factors = {}


def init():
    """Called once, before the first request: load the model here."""
    global factors
    factors = {"km": 1.0, "mile": 1.609344}


def run(data):
    """Called for every request with its body, a str; what it returns is the answer."""
    request = json.loads(data)
    return {"km": request["value"] * factors[request["unit"]]}
