"""Python's garbage collector, while a process starts and when it has.

Modules and what they define stay until the process ends. The collector would look at all
of it again and again while it grows, and once more at the end: a quarter of what starting
and ending costs here.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def resting() -> Iterator[None]:
    """For imports: nothing is collected meanwhile, and what is there then never again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def settle() -> None:
    """For a front end that is ready: what is here stays, and is not looked at again."""
    gc.collect()
    gc.freeze()
