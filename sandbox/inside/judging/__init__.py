"""The judge: a test run beside its candidate, whose objects it names."""
