"""What a run will need at its peak, told before its first step."""
