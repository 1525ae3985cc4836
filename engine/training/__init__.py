"""From coefficients to an update. Knows no method."""
