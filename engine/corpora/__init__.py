"""Expert code as traces: sources, lines and latents, comments. Imports no torch."""
