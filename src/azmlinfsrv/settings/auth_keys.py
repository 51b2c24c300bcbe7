"""The list of keys in one secret text: what is in it, and what is wrong with it."""

from __future__ import annotations

from azmlinfsrv.settings.secret import Secret


def split_keys(setting: Secret) -> tuple[bytes, ...]:
    """The keys, blanks around them trimmed, empty ones left out."""
    parts = (part.strip() for part in setting.reveal().split(","))
    return tuple(part.encode() for part in parts if part)


def fault_of_keys(setting: Secret) -> str:
    """What is wrong with the setting, without showing any of it; empty if nothing is.

    A setting without a key is an error rather than a server that is open to everybody: it
    was meant to close it. A key that no header can carry would be one nobody can use
    (visible ASCII is what every client can send, RFC 9110, 5.5).
    """
    keys = split_keys(setting)
    if not keys:
        return (
            "There is no key in it. Give one or more, separated by commas, or remove the "
            "setting to let everybody call"
        )
    for number, key in enumerate(keys, start=1):
        if not all(0x21 <= each <= 0x7E for each in key):
            return (
                f"Key {number} of {len(keys)} has characters that are not visible ASCII. "
                "Choose letters, digits and punctuation without blanks"
            )
    return ""
