"""What runs inside the cells: a fork server, and the candidate and the judge it forks.

Standard library only, and only relative imports: the same files are loaded by the supervisor as ``sandbox.inside``
and by an interpreter inside a cell as ``inside``.
"""
