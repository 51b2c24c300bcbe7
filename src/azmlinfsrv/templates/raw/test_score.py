"""The sample request has the answer it should have: `pytest`."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def invoke(*arguments):
    command = [sys.executable, "-m", "azmlinfsrv", "invoke", "--entry_script", "score.py", "--raw"]
    done = subprocess.run([*command, *arguments], cwd=HERE, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_words_of_the_fox_are_counted():
    assert invoke("--data", "@samples/fox.txt") == {"characters": 45, "words": 9}


def test_other_methods_are_refused():
    assert "error" in invoke("--method", "GET")
