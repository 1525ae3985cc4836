"""What a stage is, and what it is given: context, seeds, clock, ledger, checkpoints of its updates."""
