"""TLS, spoken by real clients: who is served, who is not, and that nothing else is different."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import Server, ask, until
from tests.servers.certificates import Files, TlsServer, trusting

SCRIPT = """
import json
import time


def init():
    pass


def run(data):
    if data.startswith("{"):
        order = json.loads(data)
        time.sleep(order.get("sleep", 0))
        if "stream" in order:
            return (f"{number}\\n" for number in range(order["stream"]))
    return data
"""
SERVERS = {"gunicorn": (), "in_process": ("--in_process",)}
Start = Callable[..., TlsServer]

each_server = pytest.mark.parametrize("flags", SERVERS.values(), ids=SERVERS)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def start(tmp_path: Path, files: Files) -> Iterator[Start]:
    """``start(*flags, client=context)``: a ready server with the certificate of `files`."""
    (tmp_path / "score.py").write_text(SCRIPT)
    with ExitStack() as stack:

        def begin(*flags: str, client: ssl.SSLContext | None = None) -> TlsServer:
            server = TlsServer(
                tmp_path / "score.py",
                *("--tls_cert", str(files.cert), "--tls_key", str(files.key), *flags),
                root=tmp_path,
                client=client or trusting(files.ca_file),
            )
            stack.callback(server.close)
            server.wait_until_ready()
            return server

        yield begin


@each_server
def test_everything_is_as_without_it(start: Start, flags: tuple[str, ...]) -> None:
    server = start(*flags)

    with contextlib.closing(server.connect()) as connection:
        for _ in range(3):  # kept alive
            assert ask(connection, "POST", "/score", b"abc").body == b'"abc"'
        kept = connection.sock
        assert isinstance(kept, ssl.SSLSocket)
        assert kept.version() in ("TLSv1.2", "TLSv1.3")
        large = b"x" * 5_000_000
        assert ask(connection, "POST", "/score", large).body == b'"' + large + b'"'
        stream = ask(connection, "POST", "/score", b'{"stream": 5000}')
        assert stream.body == "".join(f"{number}\n" for number in range(5000)).encode()
        assert stream.headers["transfer-encoding"] == "chunked"
        assert ask(connection, "GET", "/nothing").status == 404
        assert connection.sock is kept
    log = server.wait_for_log(f"Listening at: https://0.0.0.0:{server.port}")
    assert f"POST  https://0.0.0.0:{server.port}/score" in log
    assert f"GET   https://0.0.0.0:{server.port}/\n" in log
    assert "Traceback" not in log


@each_server
def test_what_does_not_speak_it_or_does_not_trust_us_is_not_served(
    start: Start, files: Files, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server = start(*flags)
    strangers = tmp_path / "strangers"
    strangers.mkdir()

    plain = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(ssl.SSLCertVerificationError):
        _get(server, trusting(Files(strangers).ca_file))
    old = trusting(files.ca_file)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _get(server, old)

    assert b"HTTP" not in plain
    assert server.get("/").status == 200
    assert "Traceback" not in server.log()


@each_server
def test_clients_show_a_certificate_if_they_are_asked_for_one(
    start: Start, files: Files, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    known = trusting(files.ca_file, files.client())
    server = start("--tls_client_ca", str(files.ca_file), *flags, client=known)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger = trusting(files.ca_file, Files(elsewhere).client())

    for client in (trusting(files.ca_file), stranger):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            _get(server, client)
    assert server.score(b"abc").body == b'"abc"'
    assert "Traceback" not in server.log()


@each_server
def test_a_handshake_that_never_ends_costs_nobody_anything(
    start: Start, flags: tuple[str, ...]
) -> None:
    server = start(*flags)
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30))
            for _ in range(100)
        ]

        assert server.score(b"abc").body == b'"abc"'

        began = time.monotonic()
        for connection in silent:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
        assert time.monotonic() - began < 15
    assert "Traceback" not in server.log()


@each_server
def test_malformed_requests_are_answered_and_cut_off(start: Start, flags: tuple[str, ...]) -> None:
    server = start(*flags)

    answer = _exchange(server, b"GET / HTTP/9.9\r\nbad header\r\n\r\n")
    cut = _exchange(server, b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"nosniff" in answer
    assert b"HTTP/1.1 200" not in cut
    assert server.score(b"abc").body == b'"abc"'
    assert "Traceback" not in server.log()


@each_server
def test_sigterm_answers_what_is_running_and_waiting(start: Start, flags: tuple[str, ...]) -> None:
    server = start(*flags)
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(server.score(b'{"sleep": 0.5}').status), daemon=True
        )
        for _ in range(3)
    ]
    # Clients that keep their connection, and never say goodbye.
    idle = server.connect()
    assert ask(idle, "GET", "/").status == 200
    for thread in threads:
        thread.start()
    until(lambda: _connections(server) >= 4, 10, server.log)

    began = time.monotonic()
    status = server.terminate()
    took_s = time.monotonic() - began
    for thread in threads:
        thread.join(10)
    idle.close()

    assert status == 0
    assert answers == [200, 200, 200]
    assert took_s < 10


def test_one_file_may_hold_both_and_a_key_may_have_a_password(tmp_path: Path, files: Files) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    encrypted = files.encrypted_key("opensesame")
    for flags, environ in (
        (("--tls_cert", str(files.both)), {}),
        (
            ("--tls_cert", "cert.pem", "--tls_key", encrypted.name),
            {"AZMLINFSRV_TLS_KEY_PASSWORD": "opensesame"},
        ),
    ):
        server = TlsServer(
            tmp_path / "score.py",
            *flags,
            root=tmp_path,
            environ=environ,
            client=trusting(files.ca_file),
        )
        try:
            server.wait_until_ready()
            assert server.score(b"abc").body == b'"abc"'
            assert "opensesame" not in server.log()
        finally:
            server.close()


def test_the_separate_health_port_speaks_it_too(tmp_path: Path, files: Files, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        health_port = probe.getsockname()[1]
    server = start("--separate_health_endpoint", "--health_port", str(health_port))

    connection = http.client.HTTPSConnection("127.0.0.1", health_port, context=server.client)
    with contextlib.closing(connection):
        assert ask(connection, "GET", "/").status == 200


def _missing(files: Files) -> tuple[list[str], str]:
    return ["--tls_cert", "nowhere.pem"], "nowhere.pem cannot be read: No such file or directory"


def _no_certificate(files: Files) -> tuple[list[str], str]:
    return ["--tls_cert", str(files.key)], "key.pem holds no certificate"


def _no_key(files: Files) -> tuple[list[str], str]:
    return ["--tls_cert", str(files.cert)], "cert.pem holds no private key"


def _missing_key(files: Files) -> tuple[list[str], str]:
    return ["--tls_cert", str(files.cert), "--tls_key", "lost.pem"], "lost.pem cannot be read"


def _other_key(files: Files) -> tuple[list[str], str]:
    flags = ["--tls_cert", str(files.cert), "--tls_key", str(files.other_key())]
    return flags, "other.pem is not the private key of the certificate in"


def _encrypted(files: Files) -> tuple[list[str], str]:
    flags = ["--tls_cert", str(files.cert), "--tls_key", str(files.encrypted_key("x"))]
    return flags, "encrypted.pem is encrypted: give its password in AZMLINFSRV_TLS_KEY_PASSWORD"


def _expired(files: Files) -> tuple[list[str], str]:
    cert, key = files.expired()
    return ["--tls_cert", str(cert), "--tls_key", str(key)], "expired.pem has expired"


def _early(files: Files) -> tuple[list[str], str]:
    cert, key = files.not_yet_valid()
    return ["--tls_cert", str(cert), "--tls_key", str(key)], "early.pem is not valid yet"


def _bad_ca(files: Files) -> tuple[list[str], str]:
    flags = ["--tls_cert", str(files.both), "--tls_client_ca", str(files.key)]
    return flags, "key.pem holds no certificate"


def _only_key(files: Files) -> tuple[list[str], str]:
    return ["--tls_key", str(files.key)], "name one with --tls_cert"


def _only_ca(files: Files) -> tuple[list[str], str]:
    return ["--tls_client_ca", str(files.ca_file)], "name one with --tls_cert"


def _waitress(files: Files) -> tuple[list[str], str]:
    flags = ["--tls_cert", str(files.both), "--server", "waitress"]
    return flags, "Waitress does not speak TLS. Use --server gunicorn, or a proxy"


MISTAKES = (
    _missing,
    _no_certificate,
    _no_key,
    _missing_key,
    _other_key,
    _encrypted,
    _expired,
    _early,
    _bad_ca,
    _only_key,
    _only_ca,
    _waitress,
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__.strip("_"))
def test_a_mistake_is_one_readable_error_before_anything_is_served(
    tmp_path: Path, files: Files, mistake: Callable[[Files], tuple[list[str], str]]
) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    flags, words = mistake(files)
    server = Server(tmp_path / "score.py", *flags, root=tmp_path)

    try:
        assert server.exit_status() == 3
        log = server.log()
        assert words in log
        assert "Configuration Error" in log
        assert "Server Settings" not in log
        assert "Traceback" not in log
    finally:
        server.close()


def test_a_wrong_password_is_not_shown(tmp_path: Path, files: Files) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    flags = ("--tls_cert", str(files.cert), "--tls_key", str(files.encrypted_key("right")))
    environ = {"AZMLINFSRV_TLS_KEY_PASSWORD": "not-this-one"}
    server = Server(tmp_path / "score.py", *flags, root=tmp_path, environ=environ)

    try:
        assert server.exit_status() == 3
        assert "cannot be decrypted with AZMLINFSRV_TLS_KEY_PASSWORD" in server.log()
        assert "not-this-one" not in server.log()
    finally:
        server.close()


def test_a_renewed_certificate_is_taken_and_a_bad_one_is_not(start: Start, files: Files) -> None:
    server = start()
    first = _certificate(server)

    files.renew()
    server.popen.send_signal(signal.SIGHUP)
    server.wait_for_log("has been read again")
    second = _certificate(server)
    files.key.write_bytes(files.other_key().read_bytes())
    server.popen.send_signal(signal.SIGHUP)
    log = server.wait_for_log("The certificate is not renewed.")
    third = _certificate(server)
    # Whoever replaces a front end has only what it has read itself.
    front_end = server.front_end()
    front_end.kill()
    front_end.wait(10)
    server.wait_until_ready()

    assert second != first
    assert third == second
    assert "key.pem is not the private key of the certificate" in log
    assert _certificate(server) == first


def test_scripts_see_the_scheme(tmp_path: Path, files: Files) -> None:
    (tmp_path / "score.py").write_text(
        "from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp\n"
        "def init(): pass\n"
        "@rawhttp\n"
        "def run(request): return request.url\n"
    )
    server = TlsServer(
        tmp_path / "score.py",
        "--tls_cert",
        str(files.both),
        root=tmp_path,
        client=trusting(files.ca_file),
    )

    try:
        server.wait_until_ready()
        url = json.loads(server.score().body)
        assert url == f"https://127.0.0.1:{server.port}/score"
    finally:
        server.close()


def _get(server: Server, client: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20, context=client)
    with contextlib.closing(connection):
        return ask(connection, "GET", "/").status


def _certificate(server: TlsServer) -> int:
    """The serial number of what the server shows."""
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with server.client.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        shown = connection.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)


def _exchange(server: TlsServer, data: bytes) -> bytes:
    """Send raw bytes over TLS and the end of them; what comes back until the server closes."""
    received = b""
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    with server.client.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.sendall(data)
        socket.socket.shutdown(connection, socket.SHUT_WR)  # its own would drop TLS as well
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := connection.recv(65536):
                received += piece
    return received


def _connections(server: Server) -> int:
    return sum(
        connection.status == "ESTABLISHED"
        for process in server.tree()
        for connection in process.net_connections("tcp")
        if connection.laddr and connection.laddr.port == server.port
    )
