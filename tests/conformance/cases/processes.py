"""Workers, preloading, ports, the debugger, and names that users' files import (R8, X7, X8)."""

from __future__ import annotations

from typing import Any

from tests.conformance import scenarios
from tests.conformance.case import (
    Case,
    Exit,
    Outcome,
    Started,
    ok,
    post,
    serve,
)

SLOW = """
    import time
    def init(): pass
    def run(data):
        print("run has begun")
        time.sleep(2.5 if data == "slow" else 0)
        return data
"""


def imports(statement: str, use: str, answer: str, shows: str, reference: Any = None) -> Case:
    """A script that imports a name by *statement* and uses it."""
    return Case(
        statement,
        serve(f"{statement}\ndef init(): pass\ndef run(data): return {use}\n"),
        post("x"),
        ok(answer),
        shows,
        reference,
    )


def client_code(name: str, code: str, ours: str, shows: str, **more: Any) -> Case:
    """Code in an interpreter of its own, beside no server; what it prints."""
    return Case(
        name,
        serve("x = 1"),
        scenarios.import_in_a_client(code),
        Outcome({"exit": 0, "out": ours}),
        shows,
        **more,
    )


NO_AZUREML = Exit(3, log=("azureml",))
CONTRIB = "azureml.contrib.services"

CASES = [
    # --- workers
    Case(
        "init runs once in each worker",
        serve(
            "def init(): print('init was called')\ndef run(data): return data",
            arguments=("--entry_script", "score.py", "--worker_count", "2"),
        ),
        None,
        Started(
            log=("init was called", "init was called"),
            unlogged=("(?s)init was called.*init was called.*init was called",),
        ),
        "R3.8 R1.2",
    ),
    Case(
        "run has the main thread",
        serve(
            """
            import threading
            def init(): pass
            def run(data): return threading.current_thread() is threading.main_thread()
            """
        ),
        post("x"),
        ok("true"),
        "R8.2 X3",
    ),
    Case(
        "a loop can be run to completion inside run",
        serve(
            """
            import asyncio
            async def work(): return 5
            def init(): pass
            def run(data):
                loop = asyncio.new_event_loop()
                asyncio.set_event_loop(loop)
                return asyncio.get_event_loop().run_until_complete(work())
            """
        ),
        post("x"),
        ok("5"),
        "X3",
    ),
    Case(
        "the script may set an alarm of its own",
        serve(
            """
            import signal, time
            def init(): pass
            def run(data):
                def strike(*_): raise KeyError("alarm")
                signal.signal(signal.SIGALRM, strike)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                try:
                    time.sleep(5)
                except KeyError:
                    return "struck"
            """
        ),
        post("x"),
        ok('"struck"'),
        "R3.39 X3 R8.2",
    ),
    Case(
        "the fault handler is on",
        serve(
            """
            import faulthandler
            def init(): pass
            def run(data): return faulthandler.is_enabled()
            """
        ),
        post("x"),
        ok("true"),
        "R8.10",
    ),
    Case(
        "preloading: one init for two workers",
        serve(
            "def init(): print('init was called')\ndef run(data): return data",
            arguments=("--entry_script", "score.py", "--worker_count", "2"),
            environment={"WORKER_PRELOAD": "true"},
        ),
        scenarios.preload_inits,
        Outcome({"inits": 1, "ready_is_logged": True}),
        "R8.3 R2.1",
    ),
    Case(
        "preloading is off for any other word",
        serve(
            "def init(): print('init was called')\ndef run(data): return data",
            arguments=("--entry_script", "score.py", "--worker_count", "2"),
            environment={"WORKER_PRELOAD": "yes"},
        ),
        scenarios.preload_inits,
        Outcome({"inits": 2, "ready_is_logged": True}),
        "R8.3 R2.1",
    ),
    # --- health port
    Case(
        "the health port answers health only, also while scoring",
        serve(
            SLOW,
            arguments=("--entry_script", "score.py", "--health_port", "{free_port}"),
            environment={"SEPERATE_HEALTH_ENDPOINT": "true"},
        ),
        scenarios.health_port_while_scoring,
        Outcome({"health_meanwhile": 200, "health_idle": 200, "score": 404}),
        "R8.4 R2.1 R1.2 0:R8.4 D36",
        reference=Outcome({"health_meanwhile": None, "health_idle": 200, "score": 200}),
    ),
    Case(
        "a health port is in the banner",
        serve(
            folder="echo_text",
            arguments=("--entry_script", "score.py", "--health_port", "{free_port}"),
            environment={"SEPERATE_HEALTH_ENDPOINT": "true"},
        ),
        None,
        Started(
            log=(
                "^Health Port: {free_port}$",
                "^Create dedicated endpoint for health: true$",
                r"^Liveness Probe: GET   \S+:{free_port}/$",
            )
        ),
        "R8.4 R1.9 R2.1",
    ),
    Case(
        "the switch is true in any case",
        serve(
            folder="echo_text",
            arguments=("--entry_script", "score.py", "--health_port", "{free_port}"),
            environment={"SEPERATE_HEALTH_ENDPOINT": "True"},
        ),
        None,
        Started(log=("^Health Port: {free_port}$",)),
        "R1.2 R2.1 D12 0:R8.4",
        reference=Started(log=("^Health Port: {port}$",)),
    ),
    Case(
        "the same port for both",
        serve(
            folder="echo_text",
            arguments=("--entry_script", "score.py", "--health_port", "{port}"),
            environment={"SEPERATE_HEALTH_ENDPOINT": "true"},
        ),
        None,
        Exit(2, errors=("(?i)health.port",)),
        "R8.4 0:R8.4 0:R1.3",
        reference=Exit(1),
    ),
    # --- debugger
    Case(
        "it calls the editor's debugger",
        serve(folder="echo_text", environment={"AZUREML_DEBUG_PORT": "{free_port}"}),
        scenarios.debugger_listens,
        Outcome({"connected": True}),
        "R8.1 R2.2",
    ),
    Case(
        "nobody listens for the debugger",
        serve(folder="echo_text", environment={"AZUREML_DEBUG_PORT": "{free_port}"}),
        None,
        Exit(
            3,
            either=(
                "!! Starting the inference server in DEBUGGING mode because "
                "AZUREML_DEBUG_PORT is set.",
                "!! This environment variable should not be set in a production environment.",
                r"\*\* Connecting to debugger at port {free_port}\.\.\.",
            ),
        ),
        "R8.1 R1.10 0:R8.1 D18",
    ),
    Case(
        "a debug port of 0 is off",
        serve(folder="echo_text", environment={"AZUREML_DEBUG_PORT": "0"}),
        None,
        Started(log=("ready for serving",), unlogged=("DEBUGGING",)),
        "R8.1",
    ),
    # --- names
    imports(
        "from azureml_inference_server_http.api.aml_response import AMLResponse",
        "AMLResponse.__name__",
        '"AMLResponse"',
        "R8.8 X7",
    ),
    imports(
        "from azureml_inference_server_http.api import aml_request, aml_response",
        "[aml_request.rawhttp.__name__, aml_request.AMLRequest.__name__]",
        '["rawhttp", "AMLRequest"]',
        "R8.8 X7",
    ),
    imports(
        "from azureml_inference_server_http.log_config import AMLLogFormatter, RootAccessFilter, "
        "load_logging_config",
        "[AMLLogFormatter.__name__, RootAccessFilter.__name__, callable(load_logging_config)]",
        '["AMLLogFormatter", "RootAccessFilter", true]',
        "R8.8 X7",
    ),
    imports(
        f"from {CONTRIB}.aml_request import AMLRequest, rawhttp",
        "[AMLRequest.__name__, rawhttp.__name__]",
        '["AMLRequest", "rawhttp"]',
        "R8.7 X7",
    ),
    imports(
        f"from {CONTRIB}.aml_response import AMLResponse",
        "AMLResponse('x', 200).status_code",
        "200",
        "R8.7 X7",
    ),
    imports(
        f"import {CONTRIB}.aml_request as x",
        "x.rawhttp.__name__",
        '"rawhttp"',
        "R8.7 X7 0:R8.7",
        NO_AZUREML,
    ),
    imports(
        f"from {CONTRIB} import aml_request",
        "aml_request.rawhttp.__name__",
        '"rawhttp"',
        "R8.7 X7 0:R8.7",
        NO_AZUREML,
    ),
    imports(
        f"import {CONTRIB}.aml_response",
        "azureml.contrib.services.aml_response.AMLResponse.__name__",
        '"AMLResponse"',
        "R8.7 X7 0:R8.7",
        NO_AZUREML,
    ),
    client_code(
        "the version has a name",
        "import azureml_inference_server_http as m; "
        "print(m.__version__.count('.'), m._HAS_DEBUGPY_SUPPORT)",
        "2 True",
        "R8.8",
    ),
    client_code(
        "the distribution keeps its name",
        "from importlib.metadata import version; "
        "print(version('azureml-inference-server-http').count('.'))",
        "2",
        "X8 R8.9",
    ),
    client_code(
        "editors can launch the module they know",
        "import importlib.util; "
        "print(importlib.util.find_spec('azureml_inference_server_http.amlserver') is not None)",
        "True",
        "X7",
    ),
    client_code(
        "AMLResponse works without a server",
        "from azureml_inference_server_http.api.aml_response import AMLResponse; "
        "r = AMLResponse({'a': 1}, 201, json_str=True); print(r.status_code, r.get_data())",
        "201 b'{\"a\": 1}'",
        "R8.8 R3.27",
    ),
    Case(
        "another WSGI server can serve the app",
        serve(
            "def init(): pass\ndef run(data): return data",
        ),
        scenarios.wsgi_app,
        Outcome({"exit": 0, "out": '200 200 "x"'}),
        "R8.5",
    ),
]
