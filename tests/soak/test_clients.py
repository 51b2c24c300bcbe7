from __future__ import annotations

import asyncio

import pytest

from soak.clients import Answer, Connection, NoAnswer, TwoAnswers, read_answer, request, statuses

ONE = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"token": "t1"}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


def read(data: bytes) -> Answer:
    async def main() -> Answer:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_answer(reader)

    return asyncio.run(main())


def test_an_answer_is_read_by_its_length_or_its_chunks() -> None:
    assert read(ONE).token == "t1"
    assert read(CHUNKED).body == b"abcde"


@pytest.mark.parametrize("data", [b"", ONE[:20], ONE[:-1], CHUNKED[:-4], CHUNKED[:-12]])
def test_an_answer_that_is_not_whole_is_none(data: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        read(data)


def test_every_status_line_is_found() -> None:
    assert statuses(ONE + CHUNKED) == [200, 200]
    assert statuses(b"") == []


@pytest.mark.parametrize(
    ("replies", "error"),
    [([b""], NoAnswer), ([ONE[:-3]], NoAnswer), ([ONE + ONE, ONE], TwoAnswers)],
    ids=["none", "part", "two"],
)
def test_a_client_notices_what_a_server_must_not_do(
    replies: list[bytes], error: type[Exception]
) -> None:
    async def main() -> None:
        left = iter(replies)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for reply in left:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(reply)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        connection = Connection(server.sockets[0].getsockname()[1])

        async def ask_twice() -> None:
            for _ in range(2):
                await connection.ask(request("GET", "/"), 5)

        try:
            with pytest.raises(error):
                await ask_twice()
        finally:
            await connection.close()
            server.close()

    asyncio.run(main())
