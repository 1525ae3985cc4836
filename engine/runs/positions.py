"""Does all that a run will pass through its model have positions there? Asked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.errors import EnvironmentFault
from engine.model.encoding import EncodedTrace
from engine.model.policy import Policy
from engine.recipe.recipe import Recipe
from engine.recipe.sections import StageKind
from engine.suites.loading import load_suite


def check_positions(policy: Policy, recipe: Recipe, stages: Sequence[StageKind]) -> None:
    """Refuse what does not fit a model whose positions come to an end: see `Policy.max_positions`.

    Raises:
        EnvironmentFault: a trace, or a prompt with its completion, may become longer.
        SuiteError: a suite cannot be read.
    """
    if policy.max_positions is None:
        return
    for what, tokens in _longest(policy, recipe, stages):
        if tokens > policy.max_positions:
            raise EnvironmentFault(
                f"{what} may come to {tokens} tokens, but {policy.name} has positions for {policy.max_positions}; "
                "lower it, or choose another model"
            )


def _longest(policy: Policy, recipe: Recipe, stages: Sequence[StageKind]) -> Iterator[tuple[str, int]]:
    """What sets the length of sequences, and the most tokens that it allows."""
    if {"ntp", "ra3"} & set(stages):
        yield f"corpus.max_tokens = {recipe.corpus.max_tokens}: a trace", recipe.corpus.max_tokens
    if "rlvr" in stages:
        yield _completed(policy, "rlvr", recipe.rlvr.suite, recipe.rlvr.max_new_tokens)
    if "eval" in stages:
        yield from (_completed(policy, "eval", spec, recipe.eval.max_new_tokens) for spec in recipe.eval.suites)


def _completed(policy: Policy, section: str, spec: str, max_new_tokens: int) -> tuple[str, int]:
    prompts = [len(policy.bos) + len(policy.encode(problem.prompt)) for problem in load_suite(spec).problems]
    return f"{section}.max_new_tokens = {max_new_tokens}: a problem of {spec}", max(prompts) + max_new_tokens


def annotated_length(trace: EncodedTrace, max_latent_tokens: int) -> int:
    """Tokens of a trace in which every latent that may be is there, and as long as it may be."""
    latents = sum(len(prefix) + max_latent_tokens for prefix in trace.gates if prefix)
    return len(trace.prompt) + sum(map(len, trace.lines)) + latents
