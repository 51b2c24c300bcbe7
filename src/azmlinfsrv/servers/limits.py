"""How much of a request is taken and how long is waited for it; the same on every server."""

from __future__ import annotations

from msgspec import Struct

from azmlinfsrv.errors import HeaderTooLong, RequestTimeout, TargetTooLong
from azmlinfsrv.settings import Settings


class Limits(Struct, frozen=True):
    """What the settings say about connections.

    Attributes:
        target_bytes: Path and query; more is 414.
        head_bytes: Request line and header fields together; more is 431.
        header_count: Header fields; more is 431.
        header_s: Until a head is complete.
        body_s: Pause in a body; see `azmlinfsrv.servers.watch`.
        write_s: Without a byte of an answer being taken.
        keep_alive_s: Between two requests.
    """

    target_bytes: int
    head_bytes: int
    header_count: int
    header_s: float
    body_s: float
    write_s: float
    keep_alive_s: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits in *settings*."""
        return cls(
            target_bytes=settings.max_request_line_bytes,
            head_bytes=settings.max_header_bytes,
            header_count=settings.max_header_count,
            header_s=settings.header_timeout_s,
            body_s=settings.body_timeout_s,
            write_s=settings.write_timeout_s,
            keep_alive_s=settings.keep_alive_s,
        )

    def target_too_long(self) -> TargetTooLong:
        """Path and query are over the limit."""
        return TargetTooLong(f"The request's target is over {self.target_bytes} bytes.")

    def head_too_long(self) -> HeaderTooLong:
        """Request line and header fields are over the limit."""
        return HeaderTooLong(f"The request's head is over {self.head_bytes} bytes.")

    def too_many_headers(self) -> HeaderTooLong:
        """There are more header fields than the limit."""
        return HeaderTooLong(f"The request has more than {self.header_count} header fields.")


def head_late() -> RequestTimeout:
    """The head of a request did not arrive in time."""
    return RequestTimeout("The request's header fields were not complete in time.")
