"""Processes that share a run: how they come together, how they miss each other, what they tell each other."""
