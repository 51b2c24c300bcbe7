"""Makes a POSIX interpreter look like Windows to the server, as far as that can be done.

Loaded by every interpreter that finds this folder on PYTHONPATH. The standard library is
imported first: its own choice of platform cannot be changed. So this shows that *our*
code neither imports nor names what Windows lacks, and that the loopback wall works; not
that Windows's own processes, pipes and consoles behave as documented.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.abc
import os
import select
import selectors
import signal
import socket
import subprocess
import sys

# What the standard library must have imported while it could; third parties choose their
# platform when they are imported, too, and click's Windows needs modules of Windows.
for _name in (
    "asyncio.subprocess", "ctypes", "logging", "multiprocessing", "pathlib", "selectors",
    "shutil", "tempfile", "threading", "uuid", "click",
):  # fmt: skip
    importlib.import_module(_name)
# Waitress's own way on Windows is sockets only, and works here as well.
os.name = "nt"
importlib.import_module("waitress.trigger")
os.name = "posix"

_GONE = frozenset(
    ("fcntl", "termios", "pwd", "grp", "resource", "uvloop", "gunicorn", "uvicorn_worker")
)


class _NotOnWindows(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name.partition(".")[0] in _GONE:
            raise ModuleNotFoundError(f"No module named {name!r} (on Windows)", name=name)


def _socketpair(*_arguments: object) -> tuple[socket.socket, socket.socket]:
    """As on Windows: two TCP sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


def _refuse(*_arguments: object, **_named: object) -> None:
    raise NotImplementedError("not on Windows")


def _terminate(popen: subprocess.Popen[bytes]) -> None:
    if popen.poll() is None:
        os.kill(popen.pid, 9)


def _look_like_windows() -> None:
    for name in _GONE:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _NotOnWindows())
    for name in (
        "fork", "forkpty", "killpg", "getpgid", "setsid", "setpgid", "getuid", "geteuid", "getgid",
        "getegid", "register_at_fork", "posix_spawn", "chown", "mkfifo", "uname", "pipe2", "pread",
        "pwrite", "sched_getaffinity", "set_blocking", "get_blocking", "wait", "wait3", "wait4",
        "openpty", "ttyname",
    ):  # fmt: skip
        if hasattr(os, name):
            delattr(os, name)
    for name in (
        "SIGKILL", "SIGVTALRM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGCHLD",
        "SIGPIPE", "SIGSTOP", "SIGCONT", "SIGPROF", "setitimer", "alarm", "pthread_kill",
        "pthread_sigmask", "siginterrupt", "sigwait",
    ):  # fmt: skip
        if hasattr(signal, name):
            delattr(signal, name)
    for name in ("AF_UNIX", "send_fds", "recv_fds", "SCM_RIGHTS"):
        if hasattr(socket, name):
            delattr(socket, name)
    socket.socketpair = _socketpair
    for name in ("poll", "epoll"):
        if hasattr(select, name):
            delattr(select, name)
    selectors.DefaultSelector = selectors.SelectSelector
    for name in ("connect_read_pipe", "connect_write_pipe", "add_signal_handler"):
        setattr(asyncio.SelectorEventLoop, name, _refuse)
    for name in ("create_unix_connection", "create_unix_server"):
        setattr(asyncio.SelectorEventLoop, name, _refuse)
    subprocess.Popen.kill = _terminate  # it goes by SIGKILL, which is gone
    sys.platform = "win32"


_look_like_windows()
