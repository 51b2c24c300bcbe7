"""What the model directory holds, as a tree for the log (R6.8)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

_INDENT = "    "


def tree(path: str, limit: int = 200) -> list[str]:
    """The lines of the tree below *path*: its own name first, then its children by name.

    A folder ends in a separator, each level is indented by four spaces, and the listing is
    depth first. A file has one line, a path that does not exist has none. Links are
    followed, except one that leads back into a folder it is in.

    Args:
        path: A folder or a file.
        limit: Most lines; if there are more, a last one says so.
    """
    if not os.path.exists(path):
        return []
    name = os.path.basename(os.path.normpath(path)) or path
    lines = list(islice(_lines(path, name, "", ()), limit + 1))
    if len(lines) > limit:
        lines[limit:] = [f"Output Truncated. First {limit} lines shown."]
    return lines


def _lines(path: str, name: str, indent: str, above: tuple[str, ...]) -> Iterator[str]:
    if not os.path.isdir(path):
        yield indent + name
        return
    yield indent + name + os.sep if not name.endswith(os.sep) else indent + name
    real = os.path.realpath(path)
    if real in above:
        return
    try:
        children = sorted(os.listdir(path))
    except OSError:  # not ours to read: the folder itself is all we can tell
        return
    for child in children:
        yield from _lines(os.path.join(path, child), child, indent + _INDENT, (*above, real))
