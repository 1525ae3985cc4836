"""A run at work and at rest: what a stage is given, checkpoints, resume, fork, control, costs, estimates."""
