"""How judge and candidate speak of values and objects: one grammar, the same on both sides."""
