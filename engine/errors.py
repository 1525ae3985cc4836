"""The two kinds of fault a person can mend. Each message is one line: what, where, and how to mend it."""


class UsageFault(ValueError):
    """What was asked for cannot be done: a recipe, a corpus, a suite, a file of samples."""


class EnvironmentFault(RuntimeError):
    """The machine lacks something: a model, a device, space, a sound store, or the run is taken."""
