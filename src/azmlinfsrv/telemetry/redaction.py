"""Values that must not reach a disk are blanked, by the name they stand under.

A name counts in headers, in query parameters, in URL-encoded forms, and in JSON objects at
any depth; in any case, and whether it is written with ``-`` or ``_``. A body of another kind
that holds such a name is not kept at all: nobody can say where its value ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_plus

from azmlinfsrv.messages import Headers
from azmlinfsrv.telemetry.recording import REDACTED, TextHeaders

# Whatever else is named, these carry credentials.
ALWAYS = (
    "authorization",
    "proxy-authorization",
    "api-key",
    "x-api-key",
    "cookie",
    "set-cookie",
)
_ESCAPE = re.compile(rb"\\u([0-9a-f]{4})")
_FORM = "application/x-www-form-urlencoded"
# Lower case, and one kind of hyphen.
_PLAIN_BYTES = bytes(range(256)).lower().replace(b"_", b"-")


class Redactor:
    """Blanks what stands under some names.

    Args:
        names: Besides those in `ALWAYS`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = frozenset(map(_plain, (*ALWAYS, *names)))
        self._needles = [name.encode() for name in self.names if name.isascii()]
        self._others = [name for name in self.names if not name.isascii()]

    def headers(self, headers: Headers) -> tuple[TextHeaders, list[str]]:
        """The headers as text, and the names of those that were blanked, in lower case."""
        kept, blanked = [], []
        for raw_name, raw_value in headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            if _plain(name) in self.names:
                value = REDACTED
                blanked.append(name.lower())
            kept.append((name, value))
        return kept, blanked

    def query(self, query: str) -> tuple[str, list[str]]:
        """A query or URL-encoded form, and the names of the parameters that were blanked."""
        if not query:
            return "", []
        blanked = []
        kept = []
        for part in query.split("&"):
            raw_name, equals, raw_value = part.partition("=")
            name, value = unquote_plus(raw_name), unquote_plus(raw_value)
            # Some take a semicolon for a separator, too.
            is_hidden = ";" in value and self._mentions(value.encode())
            if _plain(name) in self.names or is_hidden:
                blanked.append(name)
                kept.append(f"{raw_name}{equals}{REDACTED}")
            else:
                kept.append(part)
        return "&".join(kept), blanked

    def body(self, content: bytes, media_type: str) -> tuple[bytes | None, list[str]]:
        """The body, None if it cannot be kept, and the places that were blanked in it.

        A body that holds none of the names comes back as it is, byte for byte.
        """
        try:
            if media_type.partition(";")[0].strip().lower() == _FORM:
                form, names = self.query(content.decode())
                return form.encode(), names
            if not self._mentions(content):
                return content, []
            # A name given twice would leave its first value unseen.
            value = json.loads(content.decode(), object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            return None, []
        if isinstance(value, str):
            return None, []  # a text that holds who knows what
        places: list[str] = []
        blanked = self._blank(value, "", places)
        if not places:
            return content, []  # a value, not a name
        return json.dumps(blanked, ensure_ascii=False).encode("utf-8", "surrogatepass"), places

    def may_keep_part(self, content: bytes) -> bool:
        """Whether the beginning of a longer body can be kept: it holds none of the names."""
        return not self._mentions(content)

    def _mentions(self, content: bytes) -> bool:
        # Not one regular expression: it takes 100 times as long, and the interpreter with it.
        plain = content.translate(_PLAIN_BYTES)
        if b"\\u" in plain:  # JSON can write any letter as an escape
            plain = _ESCAPE.sub(_unescape, plain).translate(_PLAIN_BYTES)
        if any(needle in plain for needle in self._needles):
            return True
        if not self._others or plain.isascii():
            return False
        text = _plain(plain.decode("utf-8", "ignore"))
        return any(name in text for name in self._others)

    def _blank(self, value: Any, place: str, places: list[str]) -> Any:
        if isinstance(value, dict):
            result = {}
            for key, inner in value.items():
                where = f"{place}.{key}" if place else key
                if _plain(key) in self.names:
                    places.append(where)
                    result[key] = REDACTED
                else:
                    result[key] = self._blank(inner, where, places)
            return result
        if isinstance(value, list):
            return [
                self._blank(inner, f"{place}[{index}]", places) for index, inner in enumerate(value)
            ]
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            return self._blank_text(value, place, places)
        return value

    def _blank_text(self, value: str, place: str, places: list[str]) -> str:
        """JSON inside a JSON string."""
        inner, found = self.body(value.encode("utf-8", "surrogatepass"), "")
        if inner is None:
            places.append(place)
            return REDACTED
        places += [f"{place}.{each}" for each in found]
        return inner.decode("utf-8", "surrogatepass") if found else value


def names_in(setting: str) -> list[str]:
    """The names in a setting: separated by commas, blanks around them ignored."""
    return [name.strip() for name in setting.split(",") if name.strip()]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ValueError if a name is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _unescape(match: re.Match[bytes]) -> bytes:
    return chr(int(match[1], 16)).lower().encode("utf-8", "ignore")


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")
