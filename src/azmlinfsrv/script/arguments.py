"""What run() is called with, out of a request.

Text mode takes `text_argument`, schema mode `json_object`, and any
mode may ask for `header_dict`. Which mode a script is in, and which parameters it has, is
for `azmlinfsrv.script.contract`. Error texts are those of the reference server (1.5.1).
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote_to_bytes

from azmlinfsrv.errors import BadInput, EncodingFailed, UnsupportedMediaType
from azmlinfsrv.messages import Request
from azmlinfsrv.script import json_text

_NOT_JSON = "POST body could not be decoded as JSON: "
_TOO_DEEP = f"it is nested deeper than the limit of about {json_text.MAX_DEPTH} levels."
_TOO_LONG = "an integer has more digits than Python reads (4300)."

# Bytes that are not UTF-8, as the `surrogateescape` error handler leaves them.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")


def text_argument(request: Request) -> str:
    """The argument of an undecorated run(): the body's text, or the query as JSON text.

    POST: the whole body as UTF-8, whatever its content type (R3.14). GET: the text of
    `json.dumps` of the query object (R3.15).

    Raises:
        BadInput: the body is not UTF-8; a value of the query is too deep or too long.
    """
    if request.method == "GET":
        if not request.query:
            return "{}"
        try:
            return json_text.dumps(query_object(request.query)).decode("ascii")
        except EncodingFailed as error:
            # Parsed, but deeper than the encoder goes: limits differ by a few levels.
            raise BadInput(f"The query string cannot be read: {_TOO_DEEP}") from error
    try:
        return str(request.body, "utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"Input cannot be decoded as UTF-8: {error}") from None


def query_object(query: bytes) -> dict[str, object]:
    """The query string as an object: a value that is JSON is parsed, any other is text.

    A repeated name becomes a list. Names and values without ``=``, empty ones and invalid
    percent escapes are kept; ``;`` is an ordinary character (R3.15, D24).

    Raises:
        BadInput: a value is JSON nested too deeply, or holds too long an integer.
    """
    found: dict[str, list[object]] = {}
    for pair in query.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            found.setdefault(_unquote(name), []).append(_guess(_unquote(value)))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _unquote(piece: bytes) -> str:
    text = unquote_to_bytes(piece.replace(b"+", b" ")).decode("utf-8", "surrogateescape")
    if text.isascii():
        return text
    return _NOT_UTF8.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", text)


def _guess(text: str) -> object:
    try:
        json_text.check_depth(text)
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except RecursionError:
        raise BadInput(f"The query string cannot be read: {_TOO_DEEP}") from None
    except ValueError:
        raise BadInput(f"The query string cannot be read: {_TOO_LONG}") from None


def json_object(request: Request) -> dict[str, object]:
    """The JSON object a decorated run() takes its arguments from (R3.17 to R3.19).

    Raises:
        UnsupportedMediaType: a POST whose content type is not JSON; checked first.
        BadInput: the body is empty, not JSON, not an object, or beyond our limits.
    """
    if request.method == "GET":
        return query_object(request.query)
    if not is_json_content_type(request.header(b"content-type") or b""):
        raise UnsupportedMediaType("Expects Content-Type to be application/json")
    if not request.body:
        raise BadInput("POST body is empty. Expecting a JSON dictionary.")
    try:
        value = json_text.loads(request.body)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{_NOT_JSON}{error}") from None
    except RecursionError:
        raise BadInput(f"{_NOT_JSON}{_TOO_DEEP}") from None
    except ValueError:
        raise BadInput(f"{_NOT_JSON}{_TOO_LONG}") from None
    if not isinstance(value, dict):
        raise BadInput("POST body should be a JSON dictionary.")
    return value


def missing(name: str) -> BadInput:
    """A parameter without a default is not in the object (R3.18)."""
    return BadInput(f"A value is not provided for the '{name}' parameter.")


def not_accepted(name: str, place: str, reason: str) -> BadInput:
    """What a parameter is given is not what it is declared as.

    Args:
        place: Where in the value, as ``name[2].field``; the name alone if it is the whole.
        reason: Holds nothing of the value.
    """
    at = f" at {place}" if place != name else ""
    return BadInput(f"The value for the '{name}' parameter is not accepted{at}: {reason}.")


def is_json_content_type(content_type: bytes) -> bool:
    """``application/json`` or ``application/*+json``, in any case, with any parameters."""
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type == b"application/json" or (
        media_type.startswith(b"application/") and media_type.endswith(b"+json")
    )


def header_dict(request: Request) -> dict[str, str]:
    """The headers as ``request_headers`` has them (R3.11, X4).

    Names are title-cased (``X-Ms-Request-Id``) and in order of first appearance, values
    decoded as latin-1, repeated ones joined with a comma. As under WSGI, a name with an
    underscore is dropped, and so is an empty Content-Type or Content-Length.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in request.headers:
        if b"_" in raw_name or (not raw_value and raw_name in (b"content-type", b"content-length")):
            continue
        name, value = raw_name.decode("latin-1").title(), raw_value.decode("latin-1")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found
