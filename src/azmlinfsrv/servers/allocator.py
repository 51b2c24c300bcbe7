"""What the C library keeps of the memory that large bodies have taken."""

from __future__ import annotations

import ctypes
import sys

# malloc.h of glibc
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# Larger blocks go back to the system when they are freed, wherever they lay.
_LARGE_BYTES = 256 * 1024
_KEPT_BYTES = 512 * 1024


def give_back_large_blocks() -> None:
    """Have the memory of large bodies returned; nothing happens without glibc.

    By itself glibc takes blocks of up to 32 MiB from its heap as soon as one such has been
    freed. There they leave holes, and what is held grows by megabytes over hours.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
