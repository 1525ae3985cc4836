"""Runs in SQLite: one writer a run, many readers. Imports no torch."""
