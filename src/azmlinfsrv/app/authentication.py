"""Who may call: whoever knows one of the keys (``AZMLINFSRV_AUTH_KEYS``).

Nothing here keeps or says a key: keys and what clients send are compared as digests, every
one with every one, so that neither the time it takes nor the length of a key tells
anything.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from msgspec.structs import replace

from azmlinfsrv.errors import Unauthorized
from azmlinfsrv.messages import Headers, Request

_MISSING = (
    "This service needs a key. Send it as the header 'Authorization: Bearer KEY' or 'api-key: KEY'."
)
_WRONG = "The key is not one of this service's."
# RFC 9110, 11.6.1; RFC 6750, 3: at least one parameter, and no error code for a request
# that did not try.
_CHALLENGE = b'Bearer realm="score"'
_CHALLENGE_WRONG = _CHALLENGE + b', error="invalid_token"'
_SCHEME = b"bearer "


class Authentication:
    """Lets requests with a key pass.

    Args:
        keys: Not empty; each is as good as the others.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._digests = [hashlib.sha256(key).digest() for key in keys]

    def admit(self, request: Request) -> Request:
        """*request* without the headers that held a key of ours: the script has its own to read.

        Raises:
            Unauthorized: it has no key, or a wrong one.
        """
        offered = False
        kept: Headers = []
        for pair in request.headers:
            key = _key_in(*pair)
            offered = offered or key is not None
            if key is None or not self._knows(key):
                kept.append(pair)
        if len(kept) < len(request.headers):
            return replace(request, headers=kept)
        if offered:
            raise Unauthorized(_WRONG, headers=((b"WWW-Authenticate", _CHALLENGE_WRONG),))
        raise Unauthorized(_MISSING, headers=((b"WWW-Authenticate", _CHALLENGE),))

    def _knows(self, key: bytes) -> bool:
        digest = hashlib.sha256(key).digest()
        matches = 0
        for known in self._digests:  # all of them, whichever it is
            matches += hmac.compare_digest(digest, known)
        return matches > 0


def _key_in(name: bytes, value: bytes) -> bytes | None:
    """What a header offers as a key; None if it is another header, or another scheme."""
    if name == b"api-key":
        return value.strip()
    if name == b"authorization" and value[: len(_SCHEME)].lower() == _SCHEME:
        return value[len(_SCHEME) :].strip()
    return None


def is_preflight(request: Request) -> bool:
    """Whether a browser asks what it may send (Fetch, CORS-preflight fetch): without a key."""
    if request.method != "OPTIONS":
        return False
    names = {name for name, _ in request.headers}
    return b"origin" in names and b"access-control-request-method" in names
