"""`ScoringClient`: an entry script, loaded and asked from a test."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Any, Protocol

from azmlinfsrv.settings import FIELDS, Secret
from azmlinfsrv.testing.answer import Answer, Head, StreamedAnswer
from azmlinfsrv.testing.request import TestRequest, build_request

_DEFAULT_PORT = 5001


class Backend(Protocol):
    """Who answers."""

    def send(self, request: TestRequest) -> tuple[Head, Generator[bytes]]:
        """The head of the answer, and its body in pieces."""

    def log(self) -> str:
        """What it has written, if it has a log of its own."""

    def close(self) -> None:
        """End it."""


class ScoringClient:
    """Loads an entry script, calls its ``init()``, and asks it as a client would.

    In process by default: no server, no socket. The answers are those of the server, byte
    for byte, except for what a connection adds (``Date``, ``Transfer-Encoding``). Time
    limits, the queue, worker processes, ``logging.json`` and recording are the server's;
    ``server=True`` starts it, on a free port. Use it in a ``with`` block, or close it: that
    gives back what the script changed in this process.

    Only one script can be loaded in a process at a time. Several threads may ask; they are
    answered one after another, as by one worker.

    Args:
        entry_script: Path of the script, relative to the current directory.
        model_dir: The script finds it in ``AZUREML_MODEL_DIR``.
        app_root: The application root; the current directory by default.
        server: Start the real server.
        environ: Variables to set for the script, and for the settings.
        settings: Any other setting by its name in ``azmlinfsrv config``: ``nan="null"``.
    Raises:
        ScriptError: the script cannot be served; the text is the server's report.
        SettingsError: a setting is malformed.
        TypeError: there is no setting of that name.
    """

    def __init__(
        self,
        entry_script: str | os.PathLike[str],
        *,
        model_dir: str | os.PathLike[str] | None = None,
        app_root: str | os.PathLike[str] | None = None,
        server: bool = False,
        environ: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        given = {
            "entry_script": entry_script,
            "model_dir": model_dir,
            "app_root": app_root,
            **settings,
        }
        flags = _flags(given)
        self._port = int(flags.get("port", _DEFAULT_PORT))
        self._backend: Backend
        if server:
            from azmlinfsrv.testing.real_server import RealServer

            real = RealServer(flags, dict(environ or {}))
            self._backend, self._port = real, real.port
        else:
            from azmlinfsrv.testing.in_process import InProcess

            self._backend = InProcess(flags, dict(environ or {}))

    def score(
        self,
        data: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        query: str = "",
    ) -> Answer:
        """Ask the script: what ``/score`` answers.

        Args:
            data: Bytes are sent as they are, a text in UTF-8, None as an empty body;
                anything else as JSON.
            query: What follows the ``?``, percent-encoded.
        Raises:
            IncompleteAnswer: the script streams, and the stream broke off.
        """
        target = f"/score?{query}" if query else "/score"
        return self.request(method, target, data, headers=headers)

    def stream(
        self,
        data: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
        query: str = "",
    ) -> StreamedAnswer:
        """`score`, with the body piece by piece as the script yields it."""
        target = f"/score?{query}" if query else "/score"
        return self._send(method, target, data, headers)

    def request(
        self,
        method: str,
        target: str,
        data: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for any path: ``client.request("GET", "/swagger.json?version=3")``."""
        answer = self._send(method, target, data, headers)
        return Answer(answer, answer.read())

    def _send(
        self, method: str, target: str, data: Any, headers: Mapping[str, str] | None
    ) -> StreamedAnswer:
        request = build_request(method, target, data, headers or {}, self._port)
        return StreamedAnswer(*self._backend.send(request))

    @property
    def port(self) -> int:
        """Of the server; in process what ``Host`` says."""
        return self._port

    def log(self) -> str:
        """What the real server has written; in process it is in the loggers of this process."""
        return self._backend.log()

    def close(self) -> None:
        """End it, and give back what the script changed; a second time does nothing."""
        self._backend.close()

    def __enter__(self) -> ScoringClient:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def _flags(given: Mapping[str, Any]) -> dict[str, str]:
    """Settings as texts, by field name; None is not given."""
    known = {field.name for field in FIELDS}
    if unknown := sorted(given.keys() - known):
        raise TypeError(
            f"there is no setting {', '.join(unknown)}; `azmlinfsrv config` lists all of them"
        )
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Secret):
        return value.reveal()
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
