"""It is annotated with a list of numbers and returns their sum."""

from azmlinfsrv import typed


def init():
    pass


@typed
def run(values: list[float]) -> list[float]:
    return sum(values)
