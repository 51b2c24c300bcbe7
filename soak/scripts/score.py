"""Does what the body says, and writes into a ledger when a run begins.

Runs under this server and under the published package.
"""

import collections
import ctypes
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

VERSION = "1"
INIT_S = 0.0
# The ledger lies beside the script. Lines this short are written whole.
LEDGER = os.open(
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "ledger"),
    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
)


def init() -> None:
    time.sleep(INIT_S)


def run(data: str) -> Any:
    order = json.loads(data)
    what = order.get("do", "echo")
    token = order.get("token", "")
    os.write(LEDGER, f"{token} {os.getpid()} {VERSION}\n".encode())
    if what == "stream":
        return stream(token, order["items"])
    if what != "echo":
        DEEDS[what](order)
    return {
        "token": token,
        "version": VERSION,
        "received": len(data),
        "fill": "x" * order.get("fill", 0),
    }


def stream(token: str, items: int) -> Iterator[str]:
    for number in range(items):
        yield f"{token} {number}\n" + "x" * 8192


def swallow(order: dict[str, Any]) -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001  # that is the point
            pass


def loop(order: dict[str, Any]) -> None:
    end_s = time.monotonic() + 120
    while time.monotonic() < end_s:
        pass


def hold_the_interpreter(order: dict[str, Any]) -> None:
    """A minute or more in C code that neither returns nor looks at signals."""
    collections.deque(itertools.repeat(None, 10**10), maxlen=0)


def take_memory(order: dict[str, Any]) -> None:
    """No more than 2 GB: where nothing stops it, it answers."""
    taken = []
    for _ in range(order["megabytes"] // 16):
        taken.append(b"x" * (16 << 20))


def abort(order: dict[str, Any]) -> None:
    os.abort()


DEEDS = {
    "sleep": lambda order: time.sleep(order["seconds"]),
    "exit": lambda order: os._exit(7),
    "sys-exit": lambda order: sys.exit(7),
    "abort": abort,
    "segfault": lambda order: ctypes.string_at(0),
    "kill": lambda order: os.kill(os.getpid(), signal.SIGKILL),
    "loop": loop,
    "c-code": hold_the_interpreter,
    "swallow": swallow,
    "memory": take_memory,
}
