"""What several launches of one recipe show together, told from the store alone. Torch-free."""
