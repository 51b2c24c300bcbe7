"""The event loop that calls of an ``async def run`` share."""

from __future__ import annotations

import asyncio
import sys


def quick_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop's, with which a call costs a tenth less.

    asyncio's own where there is no uvloop (Windows), and where the script needs another: it
    has set a policy, or uses nest_asyncio, which can patch asyncio's loops only.
    """
    loop = asyncio.new_event_loop()
    if sys.platform == "win32":
        return loop
    if type(loop) is not asyncio.SelectorEventLoop or "nest_asyncio" in sys.modules:
        return loop
    import uvloop

    loop.close()
    return uvloop.new_event_loop()
