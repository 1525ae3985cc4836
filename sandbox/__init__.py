"""Runs untrusted Python and says what happened. See ``docs/sandbox.md``."""
