"""What the head of a request must not say, and the parsers let pass (RFC 9112).

Whatever two readers of the same bytes may understand differently is refused: that is what
request smuggling is made of (RFC 9112, 11.2).
"""

from __future__ import annotations

import re
from functools import lru_cache

from azmlinfsrv.errors import BadInput
from azmlinfsrv.messages import Headers

# A name or an address, and a port (RFC 9112, 3.2; RFC 3986, 3.2.2), without the comma that
# joined fields leave behind.
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(?::[0-9]*)?")
# Gateways that fold `_` into `-` would see a length here that we do not.
_LOOKALIKES = frozenset((b"content_length", b"transfer_encoding"))
_VERSIONS = ("1.1", "1.0")
_LOOKED_AT = _LOOKALIKES | {b"host", b"transfer-encoding"}


def check_head(headers: Headers, http_version: str) -> bool:
    """Whether the body comes in chunks; *headers* have lower-case names.

    Raises:
        BadInput: another version of HTTP, an invalid Host, or a body whose end can be doubted.
    """
    if http_version not in _VERSIONS:
        raise BadInput("The version of HTTP is not 1.0 or 1.1.")
    has_host = is_chunked = False
    for name, value in headers:
        if name in _LOOKED_AT:
            if name == b"host":
                if has_host or not is_host(value):
                    raise BadInput("The Host header is repeated or invalid.")
                has_host = True
            elif name in _LOOKALIKES or is_chunked or not is_chunked_coding(value, http_version):
                raise BadInput("The length of the request body is ambiguous.")
            else:
                is_chunked = True
    return is_chunked


@lru_cache(maxsize=64)
def is_host(value: bytes) -> bool:
    """Whether it can be the value of ``Host``; empty is valid."""
    return _HOST.fullmatch(value) is not None


def is_chunked_coding(value: bytes, http_version: str) -> bool:
    """Whether it is the one transfer coding that is taken.

    HTTP/1.0 has none: such a request is faulty (RFC 9112, 6.1). An unknown coding should be
    501 there; 400 says as much, and a client's mistake is never 5xx here.
    """
    return http_version != "1.0" and value.strip(b" \t").lower() == b"chunked"
