"""What the outside may not see of a script that fails."""

from __future__ import annotations

import json
import re

import pytest

from tests.conftest import Serve


def test_exception_text_goes_to_the_log_and_not_to_the_client(serve: Serve) -> None:
    server = serve(
        "def init(): pass\ndef run(data):\n    raise ValueError('patient 4711')\n",
    )

    answer = server.score(b"secret 0815")

    assert answer.status == 500
    assert b"4711" not in answer.body
    assert b"score.py:3 in run" in answer.body
    assert "patient 4711" in server.wait_for_log("patient 4711")
    assert "0815" not in server.log()


# Ways for a value of the request, or of the environment, to get into an exception's text.
LEAKS = [
    "raise ValueError(secret)",
    "raise KeyError(secret)",
    "return {}[secret]",
    "return {'known': 1}[secret]",
    "return int(secret)",
    "return open(secret)",
    "return open('/nowhere/' + secret)",
    "return __import__(secret)",
    "return getattr(object(), secret)",
    "return json.loads(secret)",
    "return os.environ[secret]",
    "return float(secret) + 1",
    "raise PermissionError(13, 'Permission denied', secret)",
    "raise OSError(28, secret)",
    "raise RuntimeError('CUDA error: ' + secret)",
    "raise UnicodeDecodeError('utf-8', secret.encode(), 0, 1, secret)",
    "raise MemoryError(secret)",
    "raise SystemExit(secret)",
    "raise TypeError(secret)",
    "raise ModuleNotFoundError(secret, name=secret)",
    "raise ImportError(secret, name=secret, path=secret)",
    "return secret + 1",
    "return frame(secret)[secret]",
    "return {'made': Odd(secret)}",
]
LEAKY = """
import json
import os

class Odd:
    def __init__(self, text):
        self.text = text
    def __repr__(self):
        raise ValueError(self.text)
    __str__ = __repr__

def frame(column):
    import pandas
    return pandas.DataFrame({"known": [1]})

def init():
    pass

def run(data):
    order = json.loads(data)
    secret = order["secret"] if order["from"] == "request" else os.environ["MY_TOKEN"]
    number = order["number"]
"""
_TRACEBACK = re.compile(
    r"Encountered Exception: .*?(?=\n\nAt score\.py|\n\nHint: |\n\nThe request's body|\n2\d{3}-)",
    re.DOTALL,
)


@pytest.mark.parametrize("source", ["request", "environment"])
def test_secret_is_in_no_answer_and_in_no_line_but_the_traceback(serve: Serve, source: str) -> None:
    branches = [f"    if number == {n}:\n        {leak}\n" for n, leak in enumerate(LEAKS)]
    server = serve(LEAKY + "".join(branches), environ={"MY_TOKEN": "t0ken4711"})
    secret = "patient4711" if source == "request" else "t0ken4711"

    for number in range(len(LEAKS)):
        order = {"number": number, "from": source}
        if source == "request":
            order["secret"] = secret
        answer = server.score(json.dumps(order).encode(), {"x-request-id": f"leak-{number}"})

        assert answer.status == 500, LEAKS[number]
        assert b"4711" not in answer.body, LEAKS[number]
        assert not [value for value in answer.headers.values() if "4711" in value]

    last = f"request leak-{len(LEAKS) - 1})"
    server.wait_for_log(last)
    server.terminate()
    log = server.log()
    assert len(_TRACEBACK.findall(log)) == len(LEAKS)
    outside = _TRACEBACK.sub("", log)
    told = [line for line in outside.splitlines() if "4711" in line]
    assert told == [], "\n".join(told)
    assert secret in log  # it is there where it may be: in the traceback
