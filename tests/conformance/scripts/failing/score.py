"""run() fails in the way that the request names."""

import os
import signal
import socket
import sys
import time

import flask
import werkzeug.exceptions


def init():
    pass


def inner():
    raise KeyError("patient 4711")


def chained():
    try:
        inner()
    except KeyError as error:
        raise ValueError("outer") from error


def recurse():
    return recurse()


def swallow():
    """Work on and on, whatever happens, as careless scripts do."""
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except Exception:
            return "swallowed"
    return "slept"


def spin():
    while True:
        pass


def own_timeout():
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        client.settimeout(0.01)
        client.recv(1)


FAILURES = {
    "value_error": lambda: int("patient 4711"),
    "inner": inner,
    "chained": chained,
    "recursion": recurse,
    "memory": lambda: exec("raise MemoryError"),
    "stop_iteration": lambda: next(iter(())),
    "abort": lambda: flask.abort(404),
    "http_exception": lambda: exec("raise e", {"e": werkzeug.exceptions.Forbidden()}),
    "system_exit": lambda: sys.exit(0),
    "keyboard_interrupt": lambda: exec("raise KeyboardInterrupt"),
    "generator_exit": lambda: exec("raise GeneratorExit"),
    "timeout_error": lambda: exec("raise TimeoutError('patient 4711')"),
    "socket_timeout": own_timeout,
    "sleep": lambda: time.sleep(20),
    "spin": spin,
    "swallow": swallow,
    "die": lambda: os._exit(9),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def run(name):
    return FAILURES[name]() if name in FAILURES else name
