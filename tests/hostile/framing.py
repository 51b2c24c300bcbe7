"""Where a body ends: lengths, transfer codings, and both."""

from __future__ import annotations

from tests.hostile.case import (
    ONE_CHUNK,
    SMUGGLED,
    TOKEN,
    Table,
    chunked,
    get,
    lines,
    post,
    refused,
    scored,
    tolerated,
)


def length(value: bytes) -> bytes:
    return post(TOKEN, b"Content-Length:" + value)


def coding(*values: bytes, body: bytes = ONE_CHUNK) -> bytes:
    return post(body, *(b"Transfer-Encoding:" + value for value in values))


CL, TE = b"Content-Length: %d", b"Transfer-Encoding: chunked"

LENGTHS: Table = {
    "a length with a plus": refused(length(b" +8")),
    "a length with a minus": refused(length(b" -8")),
    "minus zero": refused(length(b" -0")),
    "a length in hexadecimal": refused(length(b" 0x8")),
    "a length in octal": refused(length(b" 0o10")),
    "a length with an underscore": refused(length(b" 1_0")),
    "a length with a fraction": refused(length(b" 8.0")),
    "a length with an exponent": refused(length(b" 8e0")),
    "a length with a word behind": refused(length(b" 8x")),
    "a length in words": refused(length(b" eight")),
    "a length in Arabic digits": refused(length(" ٨".encode())),
    "a length in quotes": refused(length(b' "8"')),
    "an empty length": refused(length(b"")),
    "a length of blanks": refused(length(b"   ")),
    "a blank in the length": refused(length(b" 8 8")),
    "a tab in the length": refused(length(b" 8\t8")),
    "a vertical tab behind the length": refused(length(b" 8\x0b")),
    "a no-break space behind the length": refused(length(b" 8\xa0")),
    "a zero byte behind the length": refused(length(b" 8\0")),
    "a semicolon behind the length": refused(length(b" 8;x=1")),
    "a list of equal lengths": refused(length(b" 8, 8")),
    "a list of lengths": refused(length(b" 8, 80")),
    "a list with an empty member": refused(length(b" 8,")),
    "two equal lengths": refused(post(TOKEN, CL % 8, CL % 8)),
    "two lengths, the first right": refused(post(TOKEN + SMUGGLED, CL % 8, CL % 88)),
    "two lengths, the second right": refused(post(TOKEN + SMUGGLED, CL % 0, CL % 8)),
    "two lengths in two cases": refused(post(TOKEN, CL % 8, b"content-length: 0")),
    "a length over 64 bits": refused(length(b" 18446744073709551624"), 400, 413),
    "a length over 63 bits": refused(length(b" 9223372036854775808"), 400, 413),
    "a length over 32 bits": refused(length(b" 4294967304"), 413),
    "a length of a thousand digits": refused(length(b" " + b"9" * 1000), 400, 413),
    "a length of five thousand digits": refused(length(b" " + b"9" * 5000), 400, 413),
    "a length over the limit": refused(length(b" 100001"), 413),
    "a length over the limit, awaited": refused(
        post(b"", CL % 100_001, b"Expect: 100-continue"), 413
    ),
    "zeros in front of the length": scored(length(b" 00000008")),
    "blanks around the length": scored(length(b" \t 8 \t ")),
    "a lookalike of the length": refused(post(TOKEN, b"Content_Length: 8")),
    "a lookalike of the length beside it": refused(post(TOKEN, CL % 8, b"Content_Length: 80")),
    "a blank before the colon of the length": refused(post(TOKEN, b"Content-Length : 8")),
    "a tab before the colon of the length": refused(post(TOKEN, b"Content-Length\t: 8")),
    "a folded length": refused(post(TOKEN, b"Content-Length:", b" 8")),
    "a length on GET, and what it hides": scored(
        get(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED
    ),
}

CODINGS: Table = {
    # lengths beside codings
    "length, then chunks": refused(post(ONE_CHUNK + SMUGGLED, CL % 8, TE)),
    "chunks, then length": refused(post(ONE_CHUNK + SMUGGLED, TE, CL % 8)),
    "chunks and a length of zero": refused(post(ONE_CHUNK, TE, CL % 0)),
    "chunks and a length in words": refused(post(ONE_CHUNK, TE, b"Content-Length: x")),
    "chunks that end before the length does": refused(
        post(b"0\r\n\r\n" + SMUGGLED, CL % (5 + len(SMUGGLED)), TE)
    ),
    "a length that ends before the chunks do": refused(
        post(b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n", CL % 4, TE)
    ),
    "an unknown coding beside a length": refused(post(TOKEN, b"Transfer-Encoding: x", CL % 8)),
    "an empty coding beside a length": refused(post(TOKEN, b"Transfer-Encoding:", CL % 8)),
    "identity beside a length": refused(post(TOKEN, b"Transfer-Encoding: identity", CL % 8)),
    # codings
    "chunked": scored(coding(b" chunked")),
    "chunked in capitals": scored(coding(b" CHUNKED")),
    "chunked with blanks around": tolerated(coding(b"\t chunked \t")),
    "chunked without a blank in front": scored(coding(b"chunked")),
    "chunked twice": refused(coding(b" chunked, chunked")),
    "chunked in two fields": refused(coding(b" chunked", b" chunked")),
    "chunked and identity": refused(coding(b" chunked, identity")),
    "chunked and gzip": refused(coding(b" chunked, gzip")),
    "gzip and chunked": refused(coding(b" gzip, chunked")),
    "identity and chunked": refused(coding(b" identity, chunked")),
    "gzip and chunked in two fields": refused(coding(b" gzip", b" chunked")),
    "chunked and identity in two fields": refused(coding(b" chunked", b" identity")),
    "xchunked": refused(coding(b" xchunked")),
    "chunkedx": refused(coding(b" chunkedx")),
    "chunked with a parameter": refused(coding(b" chunked;q=1")),
    "chunked in quotes": refused(coding(b' "chunked"')),
    "chunked behind a comma": refused(coding(b" ,chunked")),
    "chunked before a comma": refused(coding(b" chunked,")),
    "chunked behind a vertical tab": refused(coding(b" \x0bchunked")),
    "chunked before a form feed": refused(coding(b" chunked\x0c")),
    "chunked before a zero byte": refused(coding(b" chunked\0")),
    "chunked before a no-break space": refused(coding(b" chunked\xa0")),
    "chunked with the sign of Kelvin": refused(coding(" chun\u212aed".encode())),
    "chunked on a folded line": refused(coding(b"\r\n chunked")),
    "chunked behind a bare carriage return": refused(coding(b" x\rTransfer-Encoding: chunked")),
    "chunked behind a bare line feed": refused(
        post(ONE_CHUNK, b"X: y\nTransfer-Encoding: chunked", CL % 8)
    ),
    "chunked before a blank and a colon": refused(post(ONE_CHUNK, b"Transfer-Encoding : chunked")),
    "chunked in two words": refused(coding(b" chun ked")),
    "gzip": refused(coding(b" gzip", body=TOKEN)),
    "identity": refused(coding(b" identity", body=TOKEN)),
    "no coding": refused(coding(b"", body=TOKEN)),
    "trailers": refused(coding(b" trailers")),
    "a lookalike of the coding": refused(post(ONE_CHUNK, b"Transfer_Encoding: chunked")),
    "a lookalike of the coding beside a length": refused(
        post(TOKEN, CL % 8, b"Transfer_Encoding: chunked")
    ),
    "chunked in HTTP/1.0": refused(lines(b"POST /score HTTP/1.0", TE) + ONE_CHUNK),
    "chunked in HTTP/1.0, kept open": refused(
        lines(b"POST /score HTTP/1.0", TE, b"Connection: keep-alive") + ONE_CHUNK
    ),
    "chunked and a length in HTTP/1.0": refused(
        lines(b"POST /score HTTP/1.0", TE, CL % 8) + ONE_CHUNK
    ),
    "chunked on GET": scored(get(TE) + b"3\r\nabc\r\n0\r\n\r\n"),
}

CHUNKS: Table = {
    "one chunk": scored(chunked(ONE_CHUNK)),
    "nine chunks": scored(chunked(b"8\r\n" + TOKEN + b"\r\n" + b"1\r\nx\r\n" * 8 + b"0\r\n\r\n")),
    "a size with zeros in front": scored(chunked(b"0008\r\n" + TOKEN + b"\r\n000\r\n\r\n")),
    "a size in words": refused(chunked(b"eight\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a size with a plus": refused(chunked(b"+8\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a size with a minus": refused(chunked(b"-8\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a size with 0x": refused(chunked(b"0x8\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a size with an underscore": refused(chunked(b"0_8\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a blank before the size": refused(chunked(b" 8\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a blank behind the size": refused(chunked(b"8 \r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a tab behind the size": refused(chunked(b"8\t\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a zero byte behind the size": refused(chunked(b"8\0\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a size with a point": refused(chunked(b"8.0\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "an empty size": refused(chunked(b"\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "an empty size between chunks": refused(chunked(b"8\r\n" + TOKEN + b"\r\n\r\n0\r\n\r\n")),
    "an extension without a size": refused(chunked(b";a=b\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a size over 64 bits": refused(chunked(b"10000000000000008\r\n" + TOKEN), 400, 413),
    "a size of 64 bits": refused(chunked(b"f" * 16 + b"\r\n" + TOKEN), 400, 408, 413),
    "a size of a thousand digits": refused(chunked(b"f" * 1000 + b"\r\n" + TOKEN), 400, 413),
    "a size without end": refused(chunked(b"0" * 400_000), 400, 413),
    "a size over the limit": refused(
        chunked(b"186a1\r\n" + b"x" * 100_001 + b"\r\n0\r\n\r\n"), 413
    ),
    "chunks over the limit": refused(
        chunked(4 * (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") + b"0\r\n\r\n"), 413
    ),
    "a bare line feed behind the size": refused(chunked(b"8\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a bare line feed inside the size line": refused(
        chunked(b"8\n\r\n" + TOKEN + b"\r\n0\r\n\r\n")
    ),
    "a bare carriage return behind the size": refused(chunked(b"8\r" + TOKEN + b"\r\n0\r\n\r\n")),
    "bare line feeds throughout": refused(chunked(b"8\n" + TOKEN + b"\n0\n\n")),
    "no line end behind the chunk": refused(chunked(b"8\r\n" + TOKEN + b"0\r\n\r\n")),
    "a bare line feed behind the chunk": refused(chunked(b"8\r\n" + TOKEN + b"\n0\r\n\r\n")),
    "a bare carriage return behind the chunk": refused(chunked(b"8\r\n" + TOKEN + b"\r0\r\n\r\n")),
    "two bytes behind the chunk": refused(chunked(b"8\r\n" + TOKEN + b"XX0\r\n\r\n")),
    "a chunk longer than its size": refused(chunked(b"2\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "a chunk shorter than its size": refused(chunked(b"9\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    # extensions (RFC 9112, 7.1.1)
    "an extension": scored(chunked(b"8;a=b\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "an extension without a value": scored(chunked(b"8;a\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "an extension in quotes": scored(chunked(b'8;a="b c"\r\n' + TOKEN + b"\r\n0\r\n\r\n")),
    "extensions everywhere": scored(chunked(b"8;a=b;c\r\n" + TOKEN + b"\r\n0;d=e\r\n\r\n")),
    "an extension over every limit": refused(
        chunked(b"8;a=" + b"b" * 700_000 + b"\r\n" + TOKEN + b"\r\n0\r\n\r\n"), 400, 413
    ),
    "an extension without end": refused(chunked(b"8;a=" + b"b" * 700_000), 400, 413),
    "an extension with a bare line feed": refused(chunked(b"8;a\n\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "an extension with a bare carriage return": refused(
        chunked(b"8;a\rb\r\n" + TOKEN + b"\r\n0\r\n\r\n")
    ),
    "an extension with a zero byte": refused(chunked(b"8;a=\0\r\n" + TOKEN + b"\r\n0\r\n\r\n")),
    "an extension with quotes left open": refused(
        chunked(b'8;a="b\r\n' + TOKEN + b"\r\n0\r\n\r\n")
    ),
    "an extension that hides a line end in quotes": refused(
        chunked(b'8;a="\r\n' + TOKEN + b'"\r\n0\r\n\r\n')
    ),
    # trailers (RFC 9112, 7.1.2; RFC 9110, 6.5)
    "a trailer": scored(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nX: y\r\n\r\n")),
    "a length among the trailers": tolerated(
        chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nContent-Length: 4\r\n\r\n")
    ),
    "a host among the trailers": scored(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nHost: y\r\n\r\n")),
    "a coding among the trailers": refused(
        chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n")
    ),
    "a trailer without a colon": refused(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nnonsense\r\n\r\n")),
    "a trailer without a name": refused(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\n: y\r\n\r\n")),
    "a trailer with a zero byte": refused(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nX: \0\r\n\r\n")),
    "a trailer with a bare line feed": refused(
        chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nX: y\nZ: z\r\n\r\n")
    ),
    "a trailer that is folded": refused(chunked(b"8\r\n" + TOKEN + b"\r\n0\r\nX: y\r\n z\r\n\r\n")),
    "trailers over every limit": refused(
        chunked(b"8\r\n" + TOKEN + b"\r\n0\r\n" + b"X: y\r\n" * 90_000 + b"\r\n"), 400, 413
    ),
    "no line end behind the last chunk": refused(
        chunked(b"8\r\n" + TOKEN + b"\r\n0\r\n"), 400, 408
    ),
    "a request where the trailers should end": refused(
        chunked(b"8\r\n" + TOKEN + b"\r\n0\r\n" + SMUGGLED)
    ),
}
