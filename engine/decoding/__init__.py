"""Draws tokens: completions, and the latents of traces."""
