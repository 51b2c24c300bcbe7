"""Logs, metrics and traces. May import errors, messages and settings."""
