"""j7: as j5, in coroutines."""

from __future__ import annotations

import asyncio


def init() -> None:
    """Nothing to load."""


async def predict(value: object) -> dict[str, bool]:
    await asyncio.sleep(0.05)
    return {"done": True}


async def run(data: str) -> dict[str, bool]:
    return await predict(data)
