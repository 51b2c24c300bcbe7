"""The first line: methods, targets, versions, and bytes that are no HTTP/1.1 at all."""

from __future__ import annotations

from tests.hostile.case import CLOSED, TARGET_BYTES, TOKEN, Table, lines, refused, scored, tolerated

QUERY = b"/score?" + TOKEN + b"=1"


def line(text: bytes) -> bytes:
    return lines(text, b"Host: x")


REQUEST_LINES: Table = {
    # separators
    # Words may be told apart by any white space (RFC 9112, 3).
    "two blanks behind the method": tolerated(line(b"GET  " + QUERY + b" HTTP/1.1")),
    "two blanks behind the target": tolerated(line(b"GET " + QUERY + b"  HTTP/1.1")),
    "a tab behind the method": refused(line(b"GET\t" + QUERY + b" HTTP/1.1")),
    "a tab behind the target": refused(line(b"GET " + QUERY + b"\tHTTP/1.1")),
    "a blank in front": refused(line(b" GET " + QUERY + b" HTTP/1.1")),
    "a tab in front": refused(line(b"\tGET " + QUERY + b" HTTP/1.1")),
    "a vertical tab in front": refused(line(b"\x0bGET " + QUERY + b" HTTP/1.1")),
    "a blank behind the version": refused(line(b"GET " + QUERY + b" HTTP/1.1 ")),
    "a word behind the version": refused(line(b"GET " + QUERY + b" HTTP/1.1 x")),
    "a bare carriage return behind the version": refused(line(b"GET " + QUERY + b" HTTP/1.1\r")),
    "a bare line feed ends the line": refused(b"GET " + QUERY + b" HTTP/1.1\nHost: x\r\n\r\n"),
    "bare line feeds end every line": refused(b"GET " + QUERY + b" HTTP/1.1\nHost: x\n\n"),
    "a bare carriage return ends the line": refused(
        b"GET " + QUERY + b" HTTP/1.1\rHost: x\r\n\r\n"
    ),
    "empty lines in front": scored(b"\r\n\r\n" + line(b"GET " + QUERY + b" HTTP/1.1")),
    "a bare line feed in front": tolerated(b"\n" + line(b"GET " + QUERY + b" HTTP/1.1")),
    # methods
    "no method": refused(line(b" " + QUERY + b" HTTP/1.1")),
    "a method in lower case": refused(line(b"get " + QUERY + b" HTTP/1.1"), 400, 405),
    "a method in mixed case": refused(line(b"Post " + QUERY + b" HTTP/1.1"), 400, 405),
    "an unknown method": refused(line(b"BREW " + QUERY + b" HTTP/1.1"), 405),
    "an unknown method with a body": refused(
        lines(b"BREW /score HTTP/1.1", b"Host: x", b"Content-Length: 8") + TOKEN, 405
    ),
    "a known method that is not taken": refused(line(b"PROPFIND " + QUERY + b" HTTP/1.1"), 405),
    "TRACE": refused(line(b"TRACE " + QUERY + b" HTTP/1.1"), 405),
    "a method with a zero byte": refused(line(b"GE\0T " + QUERY + b" HTTP/1.1")),
    "a method with a bracket": refused(line(b"GE(T " + QUERY + b" HTTP/1.1")),
    "a method that is not ASCII": refused(line("GËT ".encode() + QUERY + b" HTTP/1.1")),
    "a method without end": refused(line(b"A" * 20_000 + b" " + QUERY + b" HTTP/1.1"), 400, 405),
    # targets
    "no target": refused(line(b"GET HTTP/1.1")),
    "an empty target": refused(line(b"GET  HTTP/1.1")),
    "a target that is no path": refused(line(b"GET score?" + TOKEN + b" HTTP/1.1"), 400, 404),
    "a blank in the target": refused(line(b"GET /score?a=" + TOKEN + b" b HTTP/1.1")),
    "a zero byte in the target": refused(line(b"GET /score?" + TOKEN + b"\0 HTTP/1.1")),
    "a control character in the target": refused(line(b"GET /score?" + TOKEN + b"\x01 HTTP/1.1")),
    "a tab in the target": refused(line(b"GET /score?" + TOKEN + b"\t1 HTTP/1.1")),
    "a form feed in the target": refused(line(b"GET /score?" + TOKEN + b"\x0c HTTP/1.1")),
    "a delete character in the target": refused(line(b"GET /score?" + TOKEN + b"\x7f HTTP/1.1")),
    "bytes over 127 in the path": refused(line(b"GET /sc\xc3\xb6re?" + TOKEN + b" HTTP/1.1")),
    "bytes over 127 in the query": refused(line(b"GET /score?" + TOKEN + b"=\xff HTTP/1.1")),
    "a carriage return in the target": refused(line(b"GET /score?" + TOKEN + b"\r HTTP/1.1")),
    "a line feed in the target": refused(line(b"GET /score?" + TOKEN + b"\n HTTP/1.1")),
    "a fragment": refused(line(b"GET " + QUERY + b"#there HTTP/1.1")),
    "an encoded zero byte in the path": refused(
        line(b"GET /score%00?" + TOKEN + b" HTTP/1.1"), 404
    ),
    "an encoded line end in the path": refused(
        line(b"GET /score%0d%0aX:y?" + TOKEN + b" HTTP/1.1"), 404
    ),
    "dots in the path": refused(line(b"GET /x/../score?" + TOKEN + b" HTTP/1.1"), 404),
    "an overlong encoding in the path": refused(line(b"GET /%c0%afscore HTTP/1.1"), 404),
    "a target over the limit": refused(
        line(b"GET /score?" + TOKEN + b"=" + b"a" * TARGET_BYTES + b" HTTP/1.1"), 414
    ),
    "a target far over every limit": refused(
        line(b"GET /score?" + TOKEN + b"=" + b"a" * 300_000 + b" HTTP/1.1"), 414, 431
    ),
    "a target at the limit": scored(
        line(b"GET /score?" + TOKEN + b"=" + b"a" * (TARGET_BYTES - 20) + b" HTTP/1.1")
    ),
    "absolute": scored(line(b"GET http://x" + QUERY + b" HTTP/1.1")),
    "absolute, another host": scored(line(b"GET http://other.example" + QUERY + b" HTTP/1.1")),
    "absolute, https": scored(line(b"GET https://x:443" + QUERY + b" HTTP/1.1")),
    "absolute without a path": refused(line(b"GET http://x HTTP/1.1"), 200, 400, 404),
    "absolute with a broken address": refused(line(b"GET http://[::1" + QUERY + b" HTTP/1.1")),
    "absolute without a host": refused(line(b"GET http://" + QUERY + b" HTTP/1.1"), 400, 404),
    "absolute with a script": refused(line(b"GET javascript:" + QUERY + b" HTTP/1.1"), 400, 404),
    "authority": refused(line(b"GET x:80 HTTP/1.1"), 400, 404),
    "asterisk": refused(line(b"OPTIONS * HTTP/1.1"), 400, 404),
    "asterisk with GET": refused(line(b"GET * HTTP/1.1"), 400, 404),
    "CONNECT": refused(line(b"CONNECT x:80 HTTP/1.1"), 400, 404, 405),
    "CONNECT with a path": refused(line(b"CONNECT " + QUERY + b" HTTP/1.1"), 400, 404, 405),
    # versions
    "HTTP/0.9": refused(b"GET " + QUERY + b"\r\n\r\n"),
    "HTTP/0.9 said": refused(line(b"GET " + QUERY + b" HTTP/0.9")),
    "HTTP/1.0": scored(lines(b"GET " + QUERY + b" HTTP/1.0")),
    "HTTP/1.2": refused(line(b"GET " + QUERY + b" HTTP/1.2")),
    "HTTP/2.0": refused(line(b"GET " + QUERY + b" HTTP/2.0")),
    "HTTP/3.0": refused(line(b"GET " + QUERY + b" HTTP/3.0")),
    "HTTP/1": refused(line(b"GET " + QUERY + b" HTTP/1")),
    "HTTP/1.10": refused(line(b"GET " + QUERY + b" HTTP/1.10")),
    "HTTP/01.1": refused(line(b"GET " + QUERY + b" HTTP/01.1")),
    "HTTP/1,1": refused(line(b"GET " + QUERY + b" HTTP/1,1")),
    "HTTP/+1.1": refused(line(b"GET " + QUERY + b" HTTP/+1.1")),
    "http/1.1": refused(line(b"GET " + QUERY + b" http/1.1")),
    "HTTPS/1.1": refused(line(b"GET " + QUERY + b" HTTPS/1.1")),
    "ICY": refused(line(b"GET " + QUERY + b" ICY")),
    "RTSP/1.0": refused(line(b"OPTIONS " + QUERY + b" RTSP/1.0"), 200, 400),
    # other protocols
    "the preface of HTTP/2": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9, 400, CLOSED),
    "a TLS hello": refused(
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2, 400, CLOSED
    ),
    "an SSH banner": refused(b"SSH-2.0-OpenSSH_9.6\r\n", 400, 408, CLOSED),
    "a PROXY line": refused(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + line(b"GET / HTTP/1.1")),
    "a PROXY block": refused(
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + b"\0" * 12, 400, 408, CLOSED
    ),
    "a response": refused(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "an SMTP greeting": refused(b"EHLO example.org\r\n", 400, 408, CLOSED),
    "zero bytes": refused(b"\0" * 64, 400, CLOSED),
    "all bytes": refused(bytes(range(256)), 400, CLOSED),
    "a byte order mark in front": refused(b"\xef\xbb\xbf" + line(b"GET " + QUERY + b" HTTP/1.1")),
    "JSON": refused(b'{"data": 1}\r\n\r\n', 400, CLOSED),
}
