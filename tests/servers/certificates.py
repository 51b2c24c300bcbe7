"""Real certificates, made anew for each test, and a server that is spoken to over TLS."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.harness import Server

NAMES = ("localhost", "127.0.0.1")


class Files:
    """A certificate authority and what it has signed, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca_file = self._write("ca.pem", self.ca.cert_pem.bytes())
        self.renew()

    def renew(self) -> None:
        """Another certificate in the place of the first."""
        leaf = self.ca.issue_cert(*NAMES)
        self.cert = self._write("cert.pem", b"".join(part.bytes() for part in leaf.cert_chain_pems))
        self.key = self._write("key.pem", leaf.private_key_pem.bytes())
        self.both = self._write("both.pem", leaf.private_key_and_cert_chain_pem.bytes())

    def expired(self) -> tuple[Path, Path]:
        """Certificate and key; it was valid until yesterday."""
        return self._dated("expired", -30, -1)

    def not_yet_valid(self) -> tuple[Path, Path]:
        """Certificate and key; it is valid from tomorrow."""
        return self._dated("early", 1, 30)

    def encrypted_key(self, password: str) -> Path:
        """The key of `cert`, with a password."""
        key = load_pem_private_key(self.key.read_bytes(), None)
        encryption = BestAvailableEncryption(password.encode())
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return self._write("encrypted.pem", data)

    def other_key(self) -> Path:
        """A key of another certificate."""
        return self._write("other.pem", self.ca.issue_cert("other").private_key_pem.bytes())

    def client(self) -> Path:
        """A client's certificate and key in one file."""
        leaf = self.ca.issue_cert("client@example.com")
        return self._write("client.pem", leaf.private_key_and_cert_chain_pem.bytes())

    def _dated(self, name: str, first_day: int, last_day: int) -> tuple[Path, Path]:
        now = datetime.now(timezone.utc)
        leaf = self.ca.issue_cert(
            *NAMES,
            not_before=now + timedelta(days=first_day),
            not_after=now + timedelta(days=last_day),
        )
        cert = self._write(f"{name}.pem", leaf.cert_chain_pems[0].bytes())
        return cert, self._write(f"{name}-key.pem", leaf.private_key_pem.bytes())

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


def trusting(ca: Path, certificate: Path | None = None) -> ssl.SSLContext:
    """A client that trusts *ca*, and shows *certificate* if it is asked for one."""
    context = ssl.create_default_context(cafile=str(ca))
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


class TlsServer(Server):
    """A server whose port speaks TLS."""

    def __init__(
        self,
        script: Path,
        *flags: str,
        root: Path,
        client: ssl.SSLContext,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.client = client
        super().__init__(script, *flags, root=root, environ=environ)

    def connect(self, timeout_s: float = 30.0) -> http.client.HTTPSConnection:
        """A connection of one's own, over TLS."""
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=timeout_s, context=self.client
        )
