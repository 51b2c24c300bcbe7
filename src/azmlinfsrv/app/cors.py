"""Cross-origin resource sharing: which origins may read our answers (R4.14, the Fetch standard)."""

from __future__ import annotations

import re

from azmlinfsrv.messages import Headers, Request, Response

_ALLOW_ORIGIN = b"Access-Control-Allow-Origin"
_VARY = (b"Vary", b"Origin")
_METHODS = (b"GET", b"POST")
# A scheme, a host name (RFC 1035, 2.3.4: 255 bytes) and a port; an Origin can be as long as
# a head, and several wildcards in an entry would try all ways of cutting it up.
_MAX_ORIGIN_BYTES = 300
# One or more labels of a host name (RFC 1123, 2.1; the underscore as browsers take it).
_LABELS = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"


class Cors:
    """The policy of ``AML_CORS_ORIGINS``.

    Args:
        setting: Origins, separated by commas. ``*`` alone allows every origin; within an
            entry it stands for one or more labels of the host. An entry without a scheme
            means that host under http and https (section 0, D20, D21).
    """

    def __init__(self, setting: str) -> None:
        self.origins = [entry.strip() for entry in setting.split(",")]
        self._allows_all = "*" in self.origins
        self._max_bytes = max(_MAX_ORIGIN_BYTES, *map(len, self.origins))
        self._pattern = re.compile("|".join(map(_pattern_of, self.origins)), re.IGNORECASE)
        # With one literal origin the answer is the same for everybody.
        self._varies = self._allows_all or len(self.origins) > 1 or "*" in self.origins[0]

    def headers_for(self, request: Request, response: Response) -> Headers:
        """What to add to *response*; nothing if the script has its own policy."""
        if any(name.lower() == b"access-control-allow-origin" for name, _ in response.headers):
            return []
        origin = request.header(b"origin")
        if origin is None:
            return self._without_origin()
        if not self._allows(origin):
            return []
        headers = [(_ALLOW_ORIGIN, origin)]
        if self._varies:
            headers.append(_VARY)
        if request.method == "OPTIONS":
            headers += _preflight(request)
        return headers

    def _allows(self, origin: bytes) -> bool:
        if self._allows_all or len(origin) > self._max_bytes:
            return self._allows_all
        return bool(self._pattern.fullmatch(origin.decode("latin-1")))

    def _without_origin(self) -> Headers:
        if self._allows_all:
            return [(_ALLOW_ORIGIN, b"*")]
        first = (_ALLOW_ORIGIN, min(self.origins).encode("latin-1", "replace"))
        return [first, _VARY] if self._varies else [first]


def _pattern_of(entry: str) -> str:
    pattern = _LABELS.join(re.escape(part) for part in entry.split("*"))
    return pattern if "://" in entry else f"(?:https?://)?{pattern}"


def _preflight(request: Request) -> Headers:
    """What answers a preflight for one of our methods (Fetch, CORS-preflight fetch)."""
    if request.header(b"access-control-request-method") not in _METHODS:
        return []
    headers = [(b"Access-Control-Allow-Methods", b", ".join(_METHODS))]
    wanted = request.header(b"access-control-request-headers")
    if wanted:
        names = sorted(name.strip() for name in wanted.split(b","))
        headers.append((b"Access-Control-Allow-Headers", b", ".join(names)))
    return headers
