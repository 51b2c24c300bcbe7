"""What the outside may not see of a script that fails."""

from __future__ import annotations

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
