"""Bytes of a server interface to Request and back; they decide nothing."""
