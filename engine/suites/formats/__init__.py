"""What each suite's file looks like, and how its records become problems. Imports no torch."""
