"""The candidate: a program run whole, or asked for its objects."""
