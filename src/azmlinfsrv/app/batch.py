"""What development mode says of a batch in the headers of each of its answers."""

from __future__ import annotations

from azmlinfsrv.messages import Batch, Headers


def batch_headers(batch: Batch | None) -> Headers:
    """How many calls were computed together, and how long this one had waited until then."""
    if batch is None:
        return []
    return [
        (b"x-ms-batch-size", b"%d" % batch.size),
        (b"x-ms-batch-wait-ms", b"%.3f" % (batch.wait_s * 1000)),
    ]
