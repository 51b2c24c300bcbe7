"""How many calls were not answered by the script, and why.

Logged when the server ends, and told by ``GET /metrics``.
"""

from __future__ import annotations


class Counts:
    """Calls that got no answer of the script's, by what came in between."""

    def __init__(self) -> None:
        self.left_waiting = 0
        self.left_running = 0
        self.cancelled = 0
        self.refused = 0
        self.expired_waiting = 0
        self.expired_running = 0
        self.lost = 0
        self.quarantined = 0

    def by_reason(self) -> dict[str, int]:
        """All of them, by the names they have here."""
        return dict(vars(self))

    def __str__(self) -> str:
        words = {
            "refused because the queue was full": self.refused,
            "expired while waiting": self.expired_waiting,
            "expired while running": self.expired_running,
            "whose caller left while waiting": self.left_waiting,
            "whose caller left while running": self.left_running,
            "interrupted because of that": self.cancelled,
            "lost with their process": self.lost,
            "refused because they had ended processes": self.quarantined,
        }
        return ", ".join(f"{count} {what}" for what, count in words.items() if count)
