"""Problems, and pass@k with its intervals. Imports no torch."""
