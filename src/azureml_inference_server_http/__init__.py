"""The names the published package promised to scripts, logging files and editors.

Here live only those names; the server itself is `azmlinfsrv`. Importing this package has
no effect. It may import from `azmlinfsrv`, which knows it by name alone (R8.7, R8.8).
"""

from __future__ import annotations

from azmlinfsrv import __version__

# Editors' extensions ask before they attach; attaching itself needs the `debug` extra.
_HAS_DEBUGPY_SUPPORT = True

__all__ = ["_HAS_DEBUGPY_SUPPORT", "__version__"]
