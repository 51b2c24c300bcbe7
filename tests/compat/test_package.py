"""The package of promised names itself (R8.8)."""

from __future__ import annotations

import subprocess
import sys

import azmlinfsrv
import azureml_inference_server_http


def test_the_version_is_the_servers() -> None:
    assert azureml_inference_server_http.__version__ == azmlinfsrv.__version__
    assert azureml_inference_server_http._HAS_DEBUGPY_SUPPORT is True


def test_importing_it_has_no_effect() -> None:
    code = """if True:
        import logging, os, sys
        before = list(sys.path), dict(os.environ), list(logging.root.handlers), list(sys.meta_path)
        import azureml_inference_server_http.server, azureml_inference_server_http.api
        after = list(sys.path), dict(os.environ), list(logging.root.handlers), list(sys.meta_path)
        print(before == after, "flask" in sys.modules)
    """

    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert printed == "True False\n"
