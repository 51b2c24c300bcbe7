"""The module that users' editors start to debug a script (X7); the same as `azmlinfsrv`."""

from __future__ import annotations

from azmlinfsrv.__main__ import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
