"""Finding and importing the script, init(), and every way that fails (R3.1 to R3.12)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import (
    Case,
    Exit,
    Expected,
    Json,
    Raw,
    Setup,
    Started,
    observed_script_error,
    ok,
    post,
    post_json,
    serve,
)

GOOD = "def init(): pass\ndef run(data): return data\n"
WHAT_IT_IS = """
import sys
def init(): pass
def run(data):
    return {
        "name": __name__,
        "package": __package__,
        "file": __file__,
        "registered": sys.modules.get(__name__) is not None,
    }
"""


def loads(name: str, setup: Setup, expected: Expected, shows: str, reference: Any = None) -> Case:
    """A script that loads and says something."""
    return Case(name, setup, post("x"), expected, shows, reference)


def fails(name: str, setup: Setup, *patterns: str, shows: str, reference: Any = None) -> Case:
    """A script that stops the start: exit 3, with a report that names the place."""
    return Case(name, setup, None, Exit(3, either=patterns), f"{shows} R1.10", reference)


def signature(name: str, run: str, message: str, shows: str = "R3.10") -> Case:
    """A run() that cannot be called."""
    return fails(name, serve(f"def init(): pass\n{run}\n"), message, shows=shows)


SIBLING = "import sibling\ndef init(): pass\ndef run(data): return sibling.A\n"
VARIADIC = r"run\(\) cannot accept positional-only arguments, \*args, or \*\*kwargs\."

CASES = [
    # --- what it is
    loads(
        "the module's name, package and file",
        serve(WHAT_IT_IS),
        ok(
            Json(
                {
                    "name": "entry_module",
                    "package": "",
                    "file": "{root}/score.py",
                    "registered": True,
                }
            )
        ),
        "R3.1 0:R3.1 D5",
        ok(
            Json(
                {
                    "name": "entry_module",
                    "package": "",
                    "file": "{root}/score.py",
                    "registered": False,
                }
            )
        ),
    ),
    loads(
        "main.py without a script",
        serve(
            files={
                "main.py": "def init(): pass\ndef run(data): return __name__\n",
                "mine.json": "{}",
            },
            arguments=("--config_file", "mine.json"),
        ),
        ok('"main"'),
        "R3.2 X8",
    ),
    loads(
        "a relative path from the environment is below the root",
        serve(
            files={"app/sub/score.py": GOOD, "mine.json": "{}"},
            arguments=("--config_file", "mine.json"),
            environment={"AML_APP_ROOT": "{root}/app", "AZUREML_ENTRY_SCRIPT": "sub/score.py"},
        ),
        ok('"x"'),
        "R3.1 R2.2 X8",
    ),
    loads(
        "a byte order mark",
        serve(files={"score.py": b"\xef\xbb\xbf" + GOOD.encode()}),
        ok('"x"'),
        "R3.3",
    ),
    loads(
        "a coding line",
        serve(
            files={
                "score.py": b"# -*- coding: latin-1 -*-\ndef init(): pass\n"
                b"def run(data): return '\xe9'\n"
            }
        ),
        ok('"\\u00e9"'),
        "R3.3",
    ),
    loads(
        "the current folder stays",
        serve(
            """
            import os
            def init(): pass
            def run(data): return os.getcwd()
            """
        ),
        ok('"{root}"'),
        "R3.4",
    ),
    # --- classes of the script
    loads(
        "a class of the script can be pickled",
        serve(
            """
            import pickle
            class Model:
                value = 3
            def init(): pass
            def run(data): return pickle.loads(pickle.dumps(Model())).value
            """
        ),
        ok("3"),
        "R3.1 0:R3.1 D5",
        observed_script_error(),
    ),
    loads(
        "a dataclass with postponed annotations",
        serve(
            """
            from __future__ import annotations
            import dataclasses

            @dataclasses.dataclass
            class Pair:
                a: int
                b: str = "y"

            def init(): pass
            def run(data): return dataclasses.asdict(Pair(1))
            """
        ),
        ok('{"a": 1, "b": "y"}'),
        "R3.1 0:R3.1 D5",
        Exit(3, log=("AttributeError",)),
    ),
    # --- importing
    loads(
        "a module in the root",
        serve(
            files={
                "sub/score.py": SIBLING,
                "sibling.py": "A = 1\n",
            },
            arguments=("--entry_script", "sub/score.py"),
        ),
        ok("1"),
        "R3.4",
    ),
    loads(
        "a module beside the script",
        serve(
            files={
                "sub/score.py": SIBLING,
                "sub/sibling.py": "A = 1\n",
            },
            arguments=("--entry_script", "sub/score.py"),
        ),
        ok("1"),
        "R3.4 0:R3.4 D5",
        Exit(3, log=("No module named 'sibling'",)),
    ),
    *(
        loads(
            f"the user's own {name}.py",
            serve(
                f"import {name}\ndef init(): pass\ndef run(data): return {name}.MINE\n",
                files={f"{name}.py": "MINE = 'mine'\n"},
            ),
            ok('"mine"'),
            "R3.4 0:R3.4 D4",
            shadowed,
        )
        for name, shadowed in (
            ("utils", observed_script_error()),
            ("exceptions", observed_script_error()),
            ("config", Exit(3)),
            ("routes", Exit(3)),
            ("swagger", Exit(3)),
        )
    ),
    *(
        loads(
            f"the user's own {name}.py shadows nothing of the server",
            serve(
                f"import {name}\ndef init(): pass\ndef run(data): return {name}.MINE\n",
                files={f"{name}.py": "MINE = 'mine'\n"},
            ),
            ok('"mine"'),
            "0:R3.4",
        )
        for name in ("settings", "messages", "errors", "worker", "pool")
    ),
    # --- failures
    fails("no such file", serve(), r"score\.py", shows="R3.6"),
    Case(
        "no such file is said",
        serve(),
        None,
        Exit(3, either=(r"(?i)No such file or directory|does not exist|not found",)),
        "R3.6 0:R3.6",
    ),
    fails(
        "another suffix",
        serve(files={"score.txt": GOOD}, arguments=("--entry_script", "score.txt")),
        r"score\.txt",
        shows="R3.3 0:R3.6 D29",
        reference=Exit(3, either=("AttributeError.*loader",)),
    ),
    fails(
        "a folder",
        serve(files={"score": None}, arguments=("--entry_script", "score")),
        r"root/score\b",
        shows="R3.3 0:R3.6 D29",
        reference=Exit(3, either=("loader",)),
    ),
    fails(
        "no init",
        serve("def run(data): pass"),
        r"does not have a init\(\) function defined\.",
        shows="R3.5",
    ),
    fails(
        "no run",
        serve("def init(): pass"),
        r"does not have a run\(\) function defined\.",
        shows="R3.5",
    ),
    fails(
        "init is looked for before run",
        serve("x = 1"),
        r"User script at {root}/score\.py does not have a init\(\) function defined\.",
        shows="R3.5",
    ),
    fails("a syntax error", serve("def init(: pass"), "SyntaxError", r"score\.py", shows="R3.6"),
    fails("an indentation error", serve("def init():\npass"), "IndentationError", shows="R3.6"),
    Case(
        "an exception while importing",
        serve("x = 1\nraise ValueError('patient 4711')"),
        None,
        Exit(
            3,
            log=(
                r" E \[\d+\] azmlinfsrv - [^\n]*",
                r"score\.py\", line 2",
                "ValueError: patient 4711",
            ),
        ),
        "R3.6 R6.10",
    ),
    Case(
        "the wrapper text",
        serve("raise ValueError('patient 4711')"),
        None,
        Exit(
            3,
            either=("Failed to import user script because it raised an unhandled exception",),
        ),
        "R3.6",
    ),
    fails(
        "SystemExit while importing", serve("import sys; sys.exit(0)"), r"score\.py", shows="R3.6"
    ),
    fails(
        "KeyboardInterrupt while importing",
        serve("raise KeyboardInterrupt"),
        "KeyboardInterrupt",
        shows="R3.6",
    ),
    fails(
        "a missing package",
        serve("import not_installed_here"),
        "No module named 'not_installed_here'",
        shows="R3.6",
    ),
    Case(
        "no main.py",
        serve(files={"mine.json": "{}"}, arguments=("--config_file", "mine.json")),
        None,
        Exit(3, either=(r"(?i)main\.py",)),
        "R3.2 R3.6",
    ),
    Case(
        "no main.py is said with what is there",
        serve(files={"mine.json": "{}", "other.py": ""}, arguments=("--config_file", "mine.json")),
        None,
        Exit(
            3,
            log=(
                r"No score script found\. Expected score script main\.py\.",
                "Expected script to be found in PYTHONPATH: ",
                r"Current contents of AML_APP_ROOT: .*other\.py",
            ),
        ),
        "R3.6",
    ),
    Case(
        "a missing main inside the script is not a missing script",
        serve("import main"),
        None,
        Exit(
            3,
            either=(r"score\.py\", line 1", "No module named 'main'"),
            unlogged=("No score script found",),
        ),
        "R3.6 0:R3.6 D30",
        reference=Exit(3, log=("No score script found",)),
    ),
    Case(
        "one report names file and line, with one worker or several",
        serve("def init(): pass\nrun = 5"),
        None,
        Exit(3, log=("run",), errors=()),
        "R3.6 R3.10 0:R3.6 D29",
        reference=Exit(3, errors=("Traceback",)),
    ),
    # --- driver modules
    loads(
        "a driver module",
        serve(
            """
            import inner as driver_module
            STATE = []
            def init(): driver_module.STATE.append("outer init")
            def run(data): return "outer"
            """,
            files={
                "inner.py": """
                STATE = []
                def init(): STATE.append("inner init")
                def run(data): return ["inner", *STATE]
                """
            },
        ),
        ok('["inner", "outer init"]'),
        "R3.7",
    ),
    Case(
        "a driver module is logged",
        serve(
            """
            import inner as driver_module
            def init(): pass
            def run(data): return "outer"
            """,
            files={"inner.py": "def run(data): return 'inner'\n"},
        ),
        None,
        Started(
            log=(
                "azmlinfsrv.user_script - Found driver script at {root}/score.py "
                "and the score script at {root}/inner.py$",
            )
        ),
        "R3.7",
    ),
    loads(
        "a driver_module that is no module",
        serve("driver_module = 5\ndef init(): pass\ndef run(data): return 'outer'"),
        ok('"outer"'),
        "R3.7",
    ),
    # --- init
    Case(
        "init is called once in a worker",
        serve("def init(): print('init was called')\ndef run(data): return data"),
        None,
        Started(
            log=(
                "Invoking user's init function$",
                "init was called",
                "Users's init has completed successfully$",
            ),
            unlogged=("(?s)init was called.*init was called",),
        ),
        "R3.8 R6.5",
    ),
    Case(
        "init fails",
        serve("def init(): raise ValueError('no model')\ndef run(data): return data"),
        None,
        Exit(
            3,
            log=(
                r" E \[\d+\] azmlinfsrv - User's init function failed$",
                r"score\.py:1 in init",
                "ValueError: no model",
            ),
        ),
        "R3.9 R1.10 0:R3.6",
        reference=Exit(
            3,
            log=(
                r" E \[\d+\] azmlinfsrv - User's init function failed$",
                r" E \[\d+\] azmlinfsrv - Encountered Exception",
                "ValueError: no model",
            ),
        ),
    ),
    fails(
        "init leaves with status 0",
        serve("import sys\ndef init(): sys.exit(0)\ndef run(data): return data"),
        "User's init function failed",
        shows="R3.9",
    ),
    fails(
        "init takes an argument",
        serve("def init(path): pass\ndef run(data): return data"),
        "init",
        shows="R3.8 R3.9",
    ),
    fails(
        "init is no function", serve("init = 5\ndef run(data): return data"), "init", shows="R3.8"
    ),
    Case(
        "init fails with a model folder: the tree is logged",
        serve(
            "def init(): raise ValueError('no model')\ndef run(data): return data",
            files={"models/b.txt": "", "models/a/1/model.pkl": "", "models/c": None},
            environment={"AZUREML_MODEL_DIR": "{root}/models"},
        ),
        None,
        Exit(
            3,
            log=(
                r" I \[\d+\] azmlinfsrv\S* - Model Directory Contents:",
                "azmlinfsrv - models/$",
                "azmlinfsrv -     a/$",
                "azmlinfsrv -         1/$",
                r"azmlinfsrv -             model\.pkl$",
                r"azmlinfsrv -     b\.txt$",
                "azmlinfsrv -     c/$",
            ),
        ),
        "R3.9 R6.8",
    ),
    Case(
        "a model tree of many files is cut",
        serve(
            "def init(): raise ValueError('no model')\ndef run(data): return data",
            files={f"models/f{i:03}": "" for i in range(205)},
            environment={"AZUREML_MODEL_DIR": "{root}/models"},
        ),
        None,
        Exit(
            3,
            log=(r"    f198$\n", r"Output Truncated\. First 200 lines shown\."),
            unlogged=("f204",),
        ),
        "R6.8",
    ),
    Case(
        "init fails with a model file: its name is logged",
        serve(
            "def init(): raise ValueError('no model')\ndef run(data): return data",
            files={"model.pkl": ""},
            environment={"AZUREML_MODEL_DIR": "{root}/model.pkl"},
        ),
        None,
        Exit(3, log=("Model Directory Contents:", r"azmlinfsrv - model\.pkl$")),
        "R6.8 R3.9",
    ),
    Case(
        "preloading calls init once, before the workers",
        serve(
            "def init(): print('init was called')\ndef run(data): return data",
            arguments=("--entry_script", "score.py", "--worker_count", "2"),
            environment={"WORKER_PRELOAD": "TRUE"},
        ),
        post("x"),
        ok('"x"'),
        "R2.1 R8.3",
    ),
    fails(
        "preloading fails",
        serve(
            "def init(): raise ValueError('no model')\ndef run(data): return data",
            environment={"WORKER_PRELOAD": "true"},
        ),
        "ValueError: no model",
        shows="R8.3 R3.9",
    ),
    # --- the signature of run
    signature("positional-only", "def run(data, /): pass", VARIADIC),
    signature(
        "no parameter at all",
        "def run(): pass",
        r"run\(\) needs to accept an argument for input data\.",
        "R3.11",
    ),
    signature(
        "request_headers alone",
        "def run(request_headers): pass",
        r'run\(\) needs to accept an argument other than "request_headers"\.',
        "R3.11",
    ),
    signature("run is no function", "run = 5", "run", "R3.10 0:R3.6 D29"),
    Case(
        "keyword arguments in text mode have no clear meaning",
        serve("def init(): pass\ndef run(**data): pass"),
        None,
        Exit(3, either=(r"run\(\)",)),
        "R3.10 0:R3.10 D27",
    ),
    loads(
        "a wrapper that takes anything",
        serve(
            """
            import functools
            def timed(function):
                @functools.wraps(function)
                def wrapper(*args, **kwargs): return function(*args, **kwargs)
                return wrapper
            def init(): pass
            @timed
            def run(data): return [data]
            """
        ),
        ok('["x"]'),
        "R3.10",
    ),
    loads(
        "keyword arguments beside the input",
        serve("def init(): pass\ndef run(data, **options): return [data, options]"),
        ok('["x", {}]'),
        "R3.10 0:R3.10 D27",
        Exit(3, log=(VARIADIC,)),
    ),
    # --- modes
    *(
        Case(
            f"the mode is logged: {mode}",
            setup,
            None,
            Started(
                log=(
                    "azmlinfsrv.user_script - Found user script at {root}/score.py$",
                    f"azmlinfsrv.user_script - {line}$",
                )
            ),
            "R3.12 R3.7 R6.5",
        )
        for mode, setup, line in (
            (
                "text",
                serve(folder="echo_text"),
                r"run\(\) is not decorated\. Server will invoke it with the input in JSON string\.",
            ),
            (
                "raw",
                serve(folder="echo_raw"),
                r"run\(\) is decorated with @rawhttp\. Server will invoke it with the flask "
                r"request object\.",
            ),
            (
                "schema",
                serve(folder="schema_nested"),
                r"run\(\) is decorated with @input_schema\. Server will invoke it with the "
                r"following arguments: Inputs, GlobalParameters\.",
            ),
        )
    ),
    # --- request_headers
    Case(
        "request_headers is a dict with title-cased names",
        serve(
            """
            def init(): pass
            def run(data, request_headers):
                names = ("X-Ms-Request-Id", "Traceparent", "X-Twice", "Azureml-Model-Deployment")
                return [type(request_headers) is dict, [request_headers.get(n) for n in names]]
            """
        ),
        post(
            "x",
            x_ms_request_id="B",
            traceparent="00-1",
            X_TWICE="a",
            azureml_model_deployment="blue",
        ),
        ok('[true, ["B", "00-1", "a", "blue"]]'),
        "R3.11 X4 X13",
    ),
    Case(
        "request_headers may come first",
        serve(
            "def init(): pass\n"
            "def run(request_headers, data): return [data, len(request_headers) > 0]"
        ),
        post_json('{"a": 1}'),
        ok('["{\\"a\\": 1}", true]'),
        "R3.11",
    ),
    Case(
        "repeated headers are joined",
        serve("def init(): pass\ndef run(data, request_headers): return request_headers['X-A']"),
        Raw(
            b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n"
            b"X-A: 1\r\nx-a: 2\r\n\r\nx"
        ),
        ok('"1,2"'),
        "R3.11",
    ),
]
