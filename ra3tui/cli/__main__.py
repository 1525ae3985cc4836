"""``python -m ra3tui.cli``: the same as ``ra3``."""

from ra3tui.cli import main

main()
