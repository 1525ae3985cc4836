"""Whether a stage's weights are sound: an update whose gradient is finite shows that those before it were."""

from __future__ import annotations

MAX_SKIPPED = 5
"""Updates in a row whose gradient was not finite before the run gives up."""


class Diverged(RuntimeError):
    """The gradient was not finite several times in a row."""


class Soundness:
    """Counts the updates of one stage that were skipped in a row."""

    def __init__(self, run: str) -> None:
        self._run = run
        self.skipped = 0
        """Updates in a row, up to the last, whose gradient was not finite."""
        self.step: int | None = None
        """The last update of the stage whose gradient was finite."""

    def count(self, step: int, *, skipped: bool) -> None:
        """Note what came of the update ``step``.

        Raises:
            Diverged: it is one too many in a row that was skipped.
        """
        if not skipped:
            self.skipped, self.step = 0, step
            return
        self.skipped += 1
        if self.skipped >= MAX_SKIPPED:
            raise Diverged(
                f"the gradient was not finite {MAX_SKIPPED} times in a row; the last checkpoint is of sound weights: "
                f"lower the learning rate by `ra3 set {self._run} KEY=VALUE`, then `ra3 run --resume {self._run}`"
            )
