"""What to do: typed recipes, TOML in and out. Imports no torch."""
