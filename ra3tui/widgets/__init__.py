"""What the screens are made of: one widget a file, and the plain functions that draw them."""
