"""run() raises, hangs, or ends its process (R3.36 to R3.42)."""

from __future__ import annotations

from tests.conformance import scenarios
from tests.conformance.case import (
    ABSENT,
    BARE_HTML,
    UUID,
    Answer,
    Case,
    Exit,
    Expected,
    Outcome,
    Setup,
    Started,
    error,
    like,
    observed_script_error,
    ok,
    post,
    script_error,
    serve,
)

FAILING = serve(folder="failing")
LIMITED = serve(folder="failing", environment={"SCORING_TIMEOUT_MS": "500"})


def fails(
    name: str, says: str, where: str = r"score\.py:\d+ in .*", shows: str = "R3.36 R4.7"
) -> Case:
    """An exception: the same answer as before, and where it was raised."""
    return Case(
        f"{name}: {says}",
        FAILING,
        post(name),
        script_error(like(where), log=("Encountered Exception: ",)),
        f"{shows} 0:R3.36",
        reference=observed_script_error(log=("Encountered Exception: ",)),
    )


def json_error() -> Answer:
    return Answer(
        500,
        like(r'\{"message": "[^<].*'),
        {
            "content-type": "application/json",
            "x-ms-run-function-failed": "True",
            "x-request-id": UUID,
        },
    )


def timed_out() -> Answer:
    """The message is the same; where the script was may follow."""
    return Answer(
        500,
        like(r'\{"message": "Scoring timeout after 500 ms"(, "location": "score\.py:.*")?\}'),
        {
            "content-type": "application/json",
            "x-ms-run-function-failed": "True",
            "x-ms-run-fn-exec-ms": ABSENT,
            "x-request-id": UUID,
        },
    )


def timeout_setting(value: str, expected: Expected, reference: Expected | None = None) -> Case:
    setup: Setup = serve(folder="failing", environment={"SCORING_TIMEOUT_MS": value})
    shows = "R3.41 0:R3.38 D38" if reference else "R3.41"
    return Case(f"a limit of {value} ms", setup, post("x"), expected, shows, reference)


CASES = [
    fails("value_error", "an exception"),
    fails("inner", "the innermost line of the script is named", r"score\.py:\d+ in inner"),
    fails("chained", "the exception raised last is named", r"score\.py:\d+ in chained"),
    fails("recursion", "too deep", r"score\.py:\d+ in recurse"),
    fails("memory", "no memory"),
    fails("stop_iteration", "a lone next()"),
    fails("abort", "flask.abort is an exception like any other"),
    fails("http_exception", "so is any HTTP exception"),
    Case(
        "the exception's text stays out of the answer",
        FAILING,
        post("value_error"),
        Answer(500, like(r"(?!.*4711).*"), log=("4711",)),
        "R3.36",
    ),
    Case(
        "the log has the traceback and the cause",
        FAILING,
        post("chained"),
        Answer(
            500,
            log=(
                r"azmlinfsrv - Encountered Exception: ",
                "KeyError: 'patient 4711'",
                "ValueError: outer",
            ),
        ),
        "R3.36 R6.1",
    ),
    Case(
        "a failure is logged as a request too",
        FAILING,
        post("value_error"),
        Answer(500, log=(r"azmlinfsrv - POST /score 500 \d+\.\d{3}ms \d+$",)),
        "R3.36 R6.6",
    ),
    *(
        Case(
            f"{name}: is a JSON error",
            FAILING,
            post(name),
            json_error(),
            "R3.37 R4.8 0:R3.29",
            reference=BARE_HTML,
        )
        for name in ("system_exit", "keyboard_interrupt", "generator_exit")
    ),
    Case("the worker survives all of it", FAILING, post("x"), ok('"x"'), "R3.37"),
    Case(
        "a process that ends itself: the caller gets a JSON error and the next call is answered",
        FAILING,
        scenarios.respawn_after_crash,
        Outcome({"caller": 500, "is_json": True, "next": True}),
        "R3.37 0:R3.29 R1.10",
        reference=Outcome({"caller": "closed", "is_json": False, "next": True}),
    ),
    # --- the limit
    Case("sleep: is ended by the limit", LIMITED, post("sleep"), timed_out(), "R3.38 R4.7"),
    Case("spin: is ended by the limit", LIMITED, post("spin"), timed_out(), "R3.38"),
    Case(
        "the log says so",
        LIMITED,
        post("sleep"),
        Answer(500, log=("Encountered Exception",)),
        "R3.38",
    ),
    Case(
        "the log shows where the script was",
        LIMITED,
        post("spin"),
        Answer(500, log=(r"score\.py.*in spin",)),
        "0:R3.38 D6",
        reference=Answer(
            500, log=("Script failed to finish execution within the allocated time: 500ms",)
        ),
    ),
    Case("a quick call is not limited", LIMITED, post("x"), ok('"x"'), "R3.38"),
    Case(
        "swallow: a script cannot swallow the limit",
        LIMITED,
        post("swallow"),
        timed_out(),
        "R3.39 0:R3.38 D38",
        reference=ok('"swallowed"'),
    ),
    *(
        Case(
            f"{name}: the script's own TimeoutError is an ordinary error",
            FAILING,
            post(name),
            script_error(like(r"score\.py:\d+ in .*")),
            "R3.39 0:R3.38 D6",
            reference=error(500, "Scoring timeout after 3600000 ms", failed="True"),
        )
        for name in ("timeout_error", "socket_timeout")
    ),
    timeout_setting("0", ok('"x"')),
    timeout_setting("-5", Exit(3, either=("SCORING_TIMEOUT_MS",)), observed_script_error()),
    timeout_setting(
        "99999999999999999999", Exit(3, either=("SCORING_TIMEOUT_MS",)), observed_script_error()
    ),
    Case(
        "an explicit worker timeout caps a call",
        serve(
            """
            import time
            def init(): pass
            def run(data): time.sleep(20)
            """,
            environment={"WORKER_TIMEOUT": "1"},
        ),
        post("x"),
        json_error(),
        "R3.42 R2.1 0:R3.38 D37",
        reference=BARE_HTML,
    ),
    Case(
        "the limit is logged at the start",
        LIMITED,
        None,
        Started(log=("azmlinfsrv - Scoring timeout is set to 500$",)),
        "R6.5 R3.38",
    ),
]
