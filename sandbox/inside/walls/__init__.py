"""What holds a cell: namespaces, the system-call filter, Landlock, limits that outlive a fork."""
