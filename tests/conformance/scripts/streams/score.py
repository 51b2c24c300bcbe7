"""Streams by name."""

import time

import flask

from azureml_inference_server_http.api.aml_response import AMLResponse


def good():
    yield "one,"
    yield "two,"
    yield "three"


def octets():
    yield b"\x01"
    yield b"\x02"


def breaks_later():
    yield "one,"
    raise ValueError("patient 4711")


def breaks_at_once():
    raise ValueError("patient 4711")
    yield ""


def empty():
    return
    yield ""


def slow():
    yield "first,"
    time.sleep(0.4)
    yield "second,"
    time.sleep(5)
    yield "third"


STREAMS = {
    "flask": lambda: flask.Response(good()),
    "aml": lambda: AMLResponse(good(), 200),
    "typed": lambda: flask.Response(good(), status=206, mimetype="text/event-stream"),
    "octets": lambda: AMLResponse(octets(), 200),
    "empty": lambda: AMLResponse(empty(), 200),
    "breaks_later": lambda: AMLResponse(breaks_later(), 200),
    "breaks_at_once": lambda: AMLResponse(breaks_at_once(), 200),
    "slow": lambda: AMLResponse(slow(), 200),
    "sleep": lambda: time.sleep(0.1),
}


def init():
    pass


def run(name):
    return STREAMS[name]()
