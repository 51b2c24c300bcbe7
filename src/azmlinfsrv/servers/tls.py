"""TLS: from the files the settings name to what the ports speak, or to what is wrong with them.

Everything is tried before the first connection: a certificate nobody will accept is found
at the start, not by the first client. What is wrong is told by what happened (which file
was read, which question was asked, which number the check gave), not by OpenSSL's words.
"""

from __future__ import annotations

import logging
import ssl
import sys
from pathlib import Path

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.settings import Loaded, Settings

_log = logging.getLogger("azmlinfsrv")

# A peer has this long to shake hands, and to say goodbye, in seconds. Until it has, it
# costs a descriptor and nothing else.
HANDSHAKE_S = 10.0
GOODBYE_S = 2.0

# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_OUT_OF_TIME = {9: "is not valid yet", 10: "has expired"}
_LARGEST_BYTES = 16 * 1024 * 1024


class Tls:
    """What the ports speak, and how its certificate is renewed while they do.

    Raises:
        SettingsError: as `server_context`.
    Attributes:
        context: For connections that are accepted; None for plain HTTP.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.context = server_context(loaded)

    def renew(self) -> None:
        """Read certificate and key again; what is no good is logged, and the old ones stay.

        Connections that are open keep what they began with.
        """
        cert = self._loaded.settings.tls_cert
        if self.context is None or cert is None:
            return
        try:
            server_context(self._loaded)  # is it any good?
            _load_chain(self._loaded, self.context, cert)
        except SettingsError as error:
            _log.error("The certificate is not renewed. %s", error)
        else:
            _log.info("The certificate in %s has been read again.", cert)


def server_context(loaded: Loaded) -> ssl.SSLContext | None:
    """What connections are accepted with; None if the ports speak plain HTTP.

    Raises:
        SettingsError: no server can be made of these settings or of what the files hold.
    """
    settings = loaded.settings
    if settings.tls_cert is None:
        for name in ("tls_key", "tls_client_ca"):
            if getattr(settings, name) is not None:
                raise _error(
                    loaded, name, "There is no TLS without a certificate: name one with --tls_cert."
                )
        return None
    if settings.server == "waitress" and not settings.in_process:
        other = "" if sys.platform == "win32" else "--server gunicorn, or "
        text = f"Waitress does not speak TLS. Use {other}a proxy in front that does, without this."
        raise _error(loaded, "tls_cert", text)
    context = _with_certificate(loaded, settings.tls_cert)
    if settings.tls_client_ca is not None:
        _read(loaded, "tls_client_ca", settings.tls_client_ca)
        try:
            context.load_verify_locations(cafile=settings.tls_client_ca)
        except ssl.SSLError as error:
            raise _not_certificates(loaded, "tls_client_ca", settings.tls_client_ca) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def scheme(settings: Settings) -> str:
    """``https`` or ``http``: what the ports speak."""
    return "http" if settings.tls_cert is None else "https"


def _with_certificate(loaded: Loaded, cert: str) -> ssl.SSLContext:
    _read(loaded, "tls_cert", cert)
    _probe(loaded, cert)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(loaded, context, cert)
    _check_time(loaded, context, cert)
    return context


def _load_chain(loaded: Loaded, context: ssl.SSLContext, cert: str) -> None:
    key_name, key = "tls_key", loaded.settings.tls_key
    if key is None:
        key_name, key = "tls_cert", cert
    else:
        _read(loaded, key_name, key)
    password = loaded.settings.tls_key_password
    was_asked = False

    def answer() -> str:
        nonlocal was_asked  # or OpenSSL would ask at the terminal
        was_asked = True
        return password.reveal() if password is not None else ""

    try:
        context.load_cert_chain(cert, key, answer)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        if was_asked and not password:
            text = f"{key} is encrypted: give its password in AZMLINFSRV_TLS_KEY_PASSWORD."
        elif was_asked:
            text = f"{key} cannot be decrypted with AZMLINFSRV_TLS_KEY_PASSWORD."
        elif getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            text = f"{key} is not the private key of the certificate in {cert}."
        else:
            text = f"{key} holds no private key in PEM form that fits {cert}."
        raise _error(loaded, key_name, text) from error


def _read(loaded: Loaded, name: str, path: str) -> None:
    """Find out whether the file can be read at all; OpenSSL would not say which one cannot."""
    try:
        with Path(path).open("rb") as file:
            file.read(_LARGEST_BYTES)
    except OSError as error:
        raise _error(loaded, name, f"{path} cannot be read: {error.strerror}.") from error


def _probe(loaded: Loaded, cert: str) -> ssl.SSLContext:
    """A client that trusts what is in the certificate's file, and asks nothing else of it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        client.load_verify_locations(cafile=cert)
    except ssl.SSLError as error:
        raise _not_certificates(loaded, "tls_cert", cert) from error
    return client


def _check_time(loaded: Loaded, context: ssl.SSLContext, cert: str) -> None:
    """Shake hands with ourselves, in memory: the client finds out what a real one would."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _probe(loaded, cert).wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):  # flights of a handshake
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                if error.verify_code in _OUT_OF_TIME:
                    text = f"The certificate in {cert} {_OUT_OF_TIME[error.verify_code]}."
                    raise _error(loaded, "tls_cert", text) from error
                return  # clients may know more than this one
            except ssl.SSLError as error:
                text = f"No TLS handshake can be made with the certificate in {cert}."
                raise _error(loaded, "tls_cert", text) from error


def _not_certificates(loaded: Loaded, name: str, path: str) -> SettingsError:
    return _error(loaded, name, f"{path} holds no certificate in PEM form.")


def _error(loaded: Loaded, field: str, text: str) -> SettingsError:
    error = SettingsError([(loaded.origins[field].name, text)])
    error.log_format = loaded.settings.log_format
    return error
