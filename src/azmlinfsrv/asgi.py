"""``azmlinfsrv.asgi:app``: the application for an ASGI server of one's own.

Nothing is read or started before the server's lifespan begins, or, where there is none,
before the first request.
"""

from __future__ import annotations

from azmlinfsrv.servers.hosted import HostedAsgi

app = HostedAsgi()
