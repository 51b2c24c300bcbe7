"""The sections of `check`, one a module: each sends something and adds to its result."""
