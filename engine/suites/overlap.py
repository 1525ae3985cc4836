"""Problems that are trained on and evaluated on: told by their prompts, however these are spaced and spelt."""

from __future__ import annotations

import re

from engine.suites.problem import Suite


def normal_form(prompt: str) -> str:
    """The words and signs of a prompt, without their case and the white space between them."""
    return " ".join(re.findall(r"\w+|[^\w\s]", prompt.casefold()))


def count_shared(training: Suite, evaluated: Suite) -> int:
    """How many problems of ``training`` have the prompt of one that is ``evaluated``."""
    prompts = {normal_form(problem.prompt) for problem in evaluated.problems}
    return sum(normal_form(problem.prompt) in prompts for problem in training.problems)
