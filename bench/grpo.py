"""trl's GRPOTrainer on problems of ours, with DAPO's loss and clipping as ours and rewards from the same sandbox."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import datasets
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from engine.model.encoding import encode_prompt
from engine.model.policy import Policy
from engine.recipe.sections import Rlvr
from engine.suites.problem import Problem
from sandbox import Sandbox, Verdict, open_sandbox


class Trained(NamedTuple):
    """What a training by trl was."""

    seconds: float
    """Judging left out."""
    judging: float
    """Seconds that only the verdicts were waited for."""
    pass_rates: list[float]
    """Of the samples of each update."""


def train_with_trl(policy: Policy, problems: Sequence[Problem], settings: Rlvr, folder: Path, seed: int) -> Trained:
    """Train ``policy`` on problems of one suite as the stage ``rlvr`` with ``settings`` would.

    Of ``settings`` count the updates, the numbers of problems and samples, the limit, the temperature, the clipping and
    the optimiser. Samples that the limit cut are trained on (trl would mask those with them that end at a stop
    sequence), and so are the tokens of a stop sequence, which ours cuts off.
    """
    stop = problems[0].stop
    named = {problem.task_id: problem for problem in problems}
    generate = policy.model.generate
    policy.model.generate = lambda *args, **kwargs: generate(*args, **kwargs, tokenizer=policy.tokenizer)
    judging, pass_rates = [], []
    with open_sandbox() as sandbox:

        def reward(completions: list[str], task: list[str], **_: Any) -> list[float]:
            begin = time.perf_counter()
            values = _judge(sandbox, [named[name] for name in task], [_cut(text, stop) for text in completions])
            judging.append(time.perf_counter() - begin)
            pass_rates.append(sum(values) / len(values))
            return values

        prompts = [policy.decode(encode_prompt(policy, problem.prompt)) for problem in problems]
        trainer = GRPOTrainer(
            policy.model,
            reward,
            args=_config(settings, stop, folder, seed),
            train_dataset=datasets.Dataset.from_dict({"prompt": prompts, "task": list(named)}),
            processing_class=policy.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        begin = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begin - sum(judging)
    return Trained(seconds, sum(judging), pass_rates)


def _config(settings: Rlvr, stop: Sequence[str], folder: Path, seed: int) -> GRPOConfig:
    optimiser = settings.optimiser
    return GRPOConfig(
        output_dir=str(folder),
        seed=seed,
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=settings.problems_per_update * settings.group_size,
        num_generations=settings.group_size,
        max_completion_length=settings.max_new_tokens,
        max_steps=settings.updates,
        temperature=settings.temperature,
        beta=settings.kl,
        epsilon=settings.clip_low,
        epsilon_high=settings.clip_high,
        loss_type="dapo",
        scale_rewards="group",
        learning_rate=optimiser.learning_rate,
        lr_scheduler_type=optimiser.schedule,
        adam_beta1=optimiser.beta1,
        adam_beta2=optimiser.beta2,
        weight_decay=optimiser.weight_decay,
        max_grad_norm=optimiser.max_grad_norm,
        generation_kwargs={"stop_strings": list(stop)},
        save_strategy="no",
        report_to=[],
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _judge(sandbox: Sandbox, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
    jobs = [problem.job(text) for problem, text in zip(problems, texts, strict=True)]
    return [float(result.verdict == Verdict.PASSED) for result in sandbox.judge(jobs)]


def _cut(text: str, stop: Sequence[str]) -> str:
    return text[: min((place for end in stop if (place := text.find(end)) >= 0), default=len(text))]
