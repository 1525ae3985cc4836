"""Runs untrusted Python and says what happened. See ``docs/sandbox.md``."""

from .job import (
    Asserts,
    Calls,
    Check,
    Job,
    Limits,
    Program,
    Reference,
    Result,
    SandboxUnavailable,
    Stdio,
    Test,
    Verdict,
)
from .pool import Sandbox, open_sandbox

__all__ = [
    "Asserts",
    "Calls",
    "Check",
    "Job",
    "Limits",
    "Program",
    "Reference",
    "Result",
    "Sandbox",
    "SandboxUnavailable",
    "Stdio",
    "Test",
    "Verdict",
    "open_sandbox",
]
