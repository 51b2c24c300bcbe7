"""Habits of real scripts, images and platforms (X1 to X14)."""

from __future__ import annotations

from tests.conformance import scenarios
from tests.conformance.case import (
    NOT_FOUND,
    Answer,
    Case,
    Exit,
    Outcome,
    Started,
    error,
    get,
    like,
    ok,
    post,
    post_json,
    serve,
)

CLASSIFIER = serve(
    """
    import json
    import os
    import numpy as np

    def init():
        global model
        model = np.array([1.0, 2.0])

    def run(raw_data):
        try:
            data = np.array(json.loads(raw_data)["data"])
            return (data @ model).tolist()
        except Exception as error:
            return json.dumps({"error": str(error)})
    """
)
MODEL = """
    from azureml.core.model import Model

    def init():
        global path
        path = Model.get_model_path("iris")

    def run(data): return path
"""

CASES = [
    Case(
        "text in, NumPy, a list out",
        CLASSIFIER,
        post_json('{"data": [[1, 2], [3, 4]]}'),
        ok("[5.0, 11.0]"),
        "X1",
    ),
    Case(
        "a script that catches its own errors and returns JSON text",
        CLASSIFIER,
        post_json('{"other": 1}'),
        ok('"{\\"error\\": \\"\'data\'\\"}"'),
        "X1",
    ),
    Case(
        "info appears, with a basicConfig of the script's own",
        serve(
            """
            import logging
            logging.basicConfig(level=logging.INFO, format="OWN %(message)s")
            def init(): logging.info("init done")
            def run(data): return data
            """
        ),
        None,
        Started(either=("init done",), unlogged=("(?s)init done.*init done",)),
        "X2 0:R6.3",
        reference=Started(unlogged=("init done",)),
    ),
    Case(
        "the usual command of an image",
        serve(
            files={"main.py": "def init(): pass\ndef run(data): return data\n"},
            arguments=("--entry_script", "main.py"),
            environment={"AML_APP_ROOT": "{root}", "HOME": "/nonexistent"},
        ),
        post("x"),
        ok('"x"'),
        "X8",
    ),
    Case(
        "the latest version of a model is found by name",
        serve(
            MODEL,
            files={"azureml-models/iris/9/old.pkl": "", "azureml-models/iris/10/model.pkl": ""},
        ),
        post("x"),
        ok(like(r'"(.*/)?azureml-models/iris/10/model\.pkl"')),
        "X9",
        reference=Exit(3, log=("No module named 'azureml",)),
    ),
    Case(
        "a model beside the script is found by name",
        serve(MODEL, files={"iris": "weights"}),
        post("x"),
        ok(like(r'"(.*/)?iris"')),
        "X9",
        reference=Exit(3, log=("No module named 'azureml",)),
    ),
    *(
        Case(
            f"{path} answers",
            serve(folder="echo_text"),
            get(path),
            Answer(200),
            "X11",
            reference=error(404, NOT_FOUND),
        )
        for path in ("/health/live", "/health/ready")
    ),
    Case(
        "probes and calls while the first init runs",
        serve(
            """
            import pathlib, time
            def init():
                pathlib.Path("init-runs").touch()
                while not pathlib.Path("go").exists(): time.sleep(0.02)
            def run(data): return data
            """
        ),
        scenarios.probes_during_init,
        Outcome(
            {"/": 503, "/health/live": 200, "/health/ready": 503, "call": 200, "ready_after": 200}
        ),
        "X11 R3.8",
        reference=Outcome(
            {
                "/": None,
                "/health/live": None,
                "/health/ready": None,
                "call": 200,
                "ready_after": 404,
            }
        ),
    ),
    Case(
        "headers of the platform reach the script",
        serve(
            "def init(): pass\n"
            "def run(data, request_headers): return request_headers['Azureml-Model-Deployment']\n"
        ),
        post("x", azureml_model_deployment="blue", traceparent="00-1-2-01"),
        ok('"blue"'),
        "X13 X4",
    ),
]
