"""The address to listen on, taken before anything slow happens."""

from __future__ import annotations

import errno
import socket

from azmlinfsrv.errors import AddressUnavailable

# Connections the kernel holds while the front end is busy starting.
_BACKLOG = 2048


def open_listener(host: str, port: int) -> socket.socket:
    """A listening socket; clients may connect from now on.

    Raises:
        AddressUnavailable: the port is in use, the address is not one of this machine,
            or the port needs a right this process does not have.
    """
    try:
        info = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except socket.gaierror as error:
        raise AddressUnavailable(
            f"The address {host} is not known ({error.strerror}). Choose another with --host."
        ) from error
    family, address = info[0], info[4]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A restart need not wait for old connections in TIME_WAIT. On Windows it never
        # does, and the same option would let another process take the port over.
        exclusive: int | None = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        option = socket.SO_REUSEADDR if exclusive is None else exclusive
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AddressUnavailable(_explain(error, host, port)) from error
    return listener


def _explain(error: OSError, host: str, port: int) -> str:
    place = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Cannot listen on {place}: the port is already in use, perhaps by another server "
            f"that still runs. Stop it (`ss -ltnp 'sport = :{port}'` names it) or choose "
            "another port with --port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"Cannot listen on {place}: this machine has no such address. Choose one with --host."
        )
    if error.errno == errno.EACCES:
        return (
            f"Cannot listen on {place}: ports below 1024 need a right this user does not have. "
            "Choose another port with --port."
        )
    return f"Cannot listen on {place}: {error.strerror}."
