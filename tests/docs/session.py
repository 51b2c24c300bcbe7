"""Tries the examples of one page, in order, as its reader would: one folder, one port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import FOLDER, PORT, Example, commands_in, is_within, matches
from tests.harness import Server, free_port, until

_COMMAND_S = 60.0
_BIN = Path(sys.executable).parent


class Session:
    """The state a reader has built up: files, and perhaps a running server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "service"
        self.folder.mkdir()
        self._home = folder
        # A reader's curl shows its progress only where a person watches.
        (folder / ".curlrc").write_text("silent\nshow-error\n", encoding="utf-8")
        self._server: Server | None = None
        self._port = free_port()
        self._other_port = free_port()

    def try_example(self, example: Example) -> None:
        """Do what the example says.

        Raises:
            AssertionError: what came out is not what the page promises.
        """
        getattr(self, f"_try_{example.kind}")(example)

    def close(self) -> None:
        """End the server, if there is one."""
        if self._server is not None:
            self._server.close()
            self._server = None

    # --- kinds --------------------------------------------------------------------------

    def _try_none(self, example: Example) -> None:
        assert example.argument, "say why the example is not tried"

    def _try_file(self, example: Example) -> None:
        path = self.folder / example.argument
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.text, encoding="utf-8")

    def _try_serve(self, example: Example) -> None:
        self.close()
        ((command, _),) = commands_in(example.text)
        # So that the server is our child, and not that of a shell.
        direct = re.sub(r"^((?:\w+=(?:'[^']*'|\S)* )*)", r"\1exec ", command, count=1)
        # The harness says `--port N`; a server that does not know this names it as it can.
        arguments = "" if str(PORT) in direct else '"$@"'
        direct = direct.replace(str(PORT), "$2")
        self._server = Server(
            None,
            root=self.folder,
            environ=self._environment(),
            command=("bash", "-c", f"{direct} {arguments}", "bash"),
        )
        self._port = self._server.port
        if "--tls_cert" in command:  # the harness asks over plain HTTP
            self._server.wait_for_log("Users's init has completed successfully")
        else:
            self._server.wait_until_ready()

    def _try_run(self, example: Example) -> None:
        for command, promised in commands_in(example.text):
            actual = self._output_of(command)
            assert matches(promised, actual), (
                f"line {example.line}: {command}\n--- promised\n{promised}--- actual\n{actual}"
            )

    def _try_log(self, example: Example) -> None:
        server = self._server
        assert server is not None, "no server is running here"
        until(
            lambda: is_within(example.text, self._shown(server.log())),
            10,
            lambda: f"line {example.line}: not in the log:\n{self._shown(server.log())}",
        )

    # --- running ------------------------------------------------------------------------

    def _output_of(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", re.sub(rf"(:|port ){PORT}\b", rf"\g<1>{self._port}", command)],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_COMMAND_S,
            check=False,
        )
        text = self._shown(done.stdout.decode(errors="replace"))
        return text if not text or text.endswith("\n") else text + "\n"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            # Not installed where a reader is, and a second at each start of pytest.
            "PYTEST_ADDOPTS": "-p no:schemathesis",
            # In place of the default; another server may be using that, or the page's own.
            "AZMLINFSRV_PORT": str(self._other_port),
        }

    def _shown(self, text: str) -> str:
        """What came out, with the page's folder and port in place of the test's."""
        return (
            text.replace(os.path.realpath(self.folder), FOLDER)
            .replace(str(self.folder), FOLDER)
            .replace(str(self._port), str(PORT))
            .replace(str(self._other_port), str(PORT))
        )
