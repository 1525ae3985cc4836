"""What a person touches: the command line ``ra3`` and the dashboard ``ra3tui``."""
