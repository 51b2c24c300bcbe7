"""Header fields: their form, Host, numbers and sizes."""

from __future__ import annotations

from tests.hostile.case import (
    HEAD_BYTES,
    HEADER_COUNT,
    TOKEN,
    Table,
    get,
    lines,
    refused,
    scored,
    sized,
)

QUERY = b"/score?" + TOKEN + b"=1"


def hosts(*values: bytes, version: bytes = b"1.1") -> bytes:
    return lines(b"GET %b HTTP/%b" % (QUERY, version), *(b"Host:" + value for value in values))


HOSTS: Table = {
    "no host": scored(hosts()),  # R4.8
    "no host in HTTP/1.0": scored(hosts(version=b"1.0")),
    "an empty host": scored(hosts(b"")),
    "a name": scored(hosts(b" example.org")),
    "a name and a port": scored(hosts(b" example.org:8080")),
    "an address": scored(hosts(b" 127.0.0.1:80")),
    "an address of IPv6": scored(hosts(b" [::1]:80")),
    "two hosts": refused(hosts(b" x", b" y")),
    "two equal hosts": refused(hosts(b" x", b" x")),
    "two hosts in HTTP/1.0": refused(hosts(b" x", b" y", version=b"1.0")),
    "two hosts in one": refused(hosts(b" x, y")),
    "two hosts in one without a blank": refused(hosts(b" x,y")),
    "a host with a blank": refused(hosts(b" x y")),
    "a host with a path": refused(hosts(b" x/score")),
    "a host with a scheme": refused(hosts(b" http://x")),
    "a host with a user": refused(hosts(b" user@x")),
    "a host with a port in words": refused(hosts(b" x:http")),
    "a host with two ports": refused(hosts(b" x:1:2")),
    "a host with a negative port": refused(hosts(b" x:-1")),
    "a host with a bracket": refused(hosts(b" [::1")),
    "a host with a query": refused(hosts(b" x?y")),
    "a host with markup": refused(hosts(b" <script>")),
    "a host with a zero byte": refused(hosts(b" x\0y")),
    "a host that is not ASCII": refused(hosts(" exämple".encode())),
    "a host of two lines": refused(hosts(b" x\r\n y")),
}

FIELDS: Table = {
    # form (RFC 9112, 5)
    "a field without a colon": refused(get(b"nonsense")),
    "a field without a name": refused(get(b": value")),
    "a line of one blank": refused(get(b" ")),
    "a blank before the colon": refused(get(b"Name : value")),
    "a tab before the colon": refused(get(b"Name\t: value")),
    "a blank in the name": refused(get(b"Na me: value")),
    "a folded value": refused(get(b"Name: a", b" b")),
    "a value folded with a tab": refused(get(b"Name: a", b"\tb")),
    "a first field that is folded": refused(
        lines(b"GET " + QUERY + b" HTTP/1.1", b" Host: x", b"X: y")
    ),
    "a blank before the first field": refused(lines(b"GET " + QUERY + b" HTTP/1.1", b" ", b"X: y")),
    "an empty value": scored(get(b"Name:")),
    "no blank behind the colon": scored(get(b"Name:value")),
    "colons in the value": scored(get(b"Name: a: b:c")),
    "bytes over 127 in a value": scored(get(b"Name: \xe9\xff\x80")),
    "a tab in a value": scored(get(b"Name: a\tb")),
    "any token as a name": scored(get(b"!#$%&'*+-.^`|~09: value")),
    # control bytes
    **{
        f"byte {byte} in a value": refused(get(b"Name: a%cb" % byte))
        for byte in (0, 1, 8, 10, 11, 12, 13, 27, 31, 127)
    },
    **{
        f"byte {byte} in a name": refused(get(b"Na%cme: value" % byte))
        for byte in (0, 1, 9, 10, 11, 13, 27, 34, 40, 44, 47, 59, 64, 91, 92, 123, 127, 128, 255)
    },
    "byte 0 at the end of a value": refused(get(b"Name: a\0")),
    "byte 13 at the end of a value": refused(get(b"Name: a\r")),
    "a value of two requests": refused(get(b"Name: a\n\nGET /score?" + TOKEN + b" HTTP/1.1")),
    "a bare line feed ends the head": refused(
        b"GET " + QUERY + b" HTTP/1.1\r\nHost: x\r\nX: y\n\r\n"
    ),
    "a bare line feed for the empty line": refused(b"GET " + QUERY + b" HTTP/1.1\r\nHost: x\r\n\n"),
    "a bare carriage return for the empty line": refused(
        b"GET " + QUERY + b" HTTP/1.1\r\nHost: x\r\n\rX"
    ),
    # numbers and sizes
    "as many fields as may be": scored(get(*(b"N%d: v" % i for i in range(HEADER_COUNT - 1)))),
    "one field too many": refused(get(*(b"N%d: v" % i for i in range(HEADER_COUNT))), 431),
    "five thousand fields": refused(get(*(b"N%d: v" % i for i in range(5000))), 431),
    "ten thousand equal fields": refused(get(*(b"N: v" for _ in range(10_000))), 431),
    "a field of 60,000 bytes": scored(get(b"Name: " + b"a" * 60_000)),
    "a field over the limit": refused(get(b"Name: " + b"a" * HEAD_BYTES), 431),
    "a field far over the limit": refused(get(b"Name: " + b"a" * 1_000_000), 431),
    "a name over the limit": refused(get(b"N" * HEAD_BYTES + b": v"), 431),
    "fields over the limit together": refused(get(*(b"N: " + b"v" * 4000 for _ in range(20))), 431),
    "a field without end": refused(
        b"GET " + QUERY + b" HTTP/1.1\r\nHost: x\r\nName: " + b"a" * 500_000, 431
    ),
    "fields without end": refused(
        b"GET " + QUERY + b" HTTP/1.1\r\nHost: x\r\n" + b"N: v\r\n" * 100_000, 431
    ),
    "an id over 100 characters": refused(get(b"x-request-id: " + b"a" * 101), 431),
    "an id with markup": scored(get(b"x-request-id: <script>%0d%0aX: y")),
    "a forwarded address that is none": scored(get(b"X-Forwarded-For: " + b"1.2.3.4," * 100)),
    "another method asked for": scored(sized(TOKEN, b"X-HTTP-Method-Override: DELETE")),
    "a connection named after the length": scored(sized(TOKEN, b"Connection: content-length")),
}
