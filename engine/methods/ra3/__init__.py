"""RA3: EM over latent comments (Zhang et al., 2025)."""
