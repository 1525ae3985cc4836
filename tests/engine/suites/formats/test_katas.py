"""Katas as a suite and as a corpus: what recipes name, and what it means."""

from __future__ import annotations

import re

import pytest

from engine.corpora.sources import corpus_of
from engine.katas.checking import check_katas
from engine.recipe.files import load_recipe
from engine.suites.formats.katas import KATAS
from engine.suites.loading import load_suite
from engine.suites.problem import SuiteError
from sandbox import Verdict, open_sandbox


def terms(prompt: str) -> int:
    """Of its longest key."""
    told = re.findall(r"^    [abc]: (.*)$", prompt, re.MULTILINE)
    return max(len(re.findall(r"[a-z]+ \d", text.removesuffix(" mod 10"))) or 1 for text in told)


def test_references_pass_and_a_wrong_key_does_not() -> None:
    problems = load_suite("katas[:12]").problems
    wrong = [re.sub(r"= (\d)", lambda key: f"= {(int(key[1]) + 1) % 10}", p.reference or "", count=1) for p in problems]
    jobs = [p.job(p.reference or "") for p in problems] + [p.job(text) for p, text in zip(problems, wrong, strict=True)]
    with open_sandbox() as sandbox:
        verdicts = [result.verdict for result in sandbox.judge(jobs)]
    assert verdicts == [Verdict.PASSED] * 12 + [Verdict.WRONG_ANSWER] * 12


def test_no_mutant_passes_and_no_two_splits_share_a_function() -> None:
    found = check_katas(150)
    assert found.mutants > 2000
    assert found.killed == found.mutants
    assert found.shared == 0
    assert found.functions > 5 * 100
    assert 90 < found.judged < 150


def test_a_range_is_a_part_of_its_suite_and_ids_are_those_of_the_whole() -> None:
    whole, part = load_suite("katas-dev[:8]").problems, load_suite("katas-dev[5:8]").problems
    assert part == whole[5:]
    assert [problem.task_id for problem in part] == ["katas-dev/5", "katas-dev/6", "katas-dev/7"]
    assert {problem.suite for problem in part} == {"katas-dev"}


def test_the_suites_of_different_uses_share_no_problem() -> None:
    prompts = [{problem.prompt for problem in load_suite(f"{name}[:100]").problems} for name in NAMES]
    assert len(set.union(*prompts)) == sum(map(len, prompts))


NAMES = ("katas", "katas-dev", "katas-rlvr")


def test_the_depth_in_a_name_is_the_most_terms_of_a_key() -> None:
    assert max(terms(problem.prompt) for problem in load_suite("katas-rlvr-depth2[:30]").problems) == 2
    assert max(terms(problem.prompt) for problem in load_suite("katas-rlvr[:30]").problems) == 5


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("katas:file.jsonl", "katas are made, not read"),
        (f"katas[{KATAS}:]", f"the range is empty, katas has {KATAS} problems"),
        ("katas-depth9", "there is no suite 'katas-depth9'"),
        ("katas-pretrain", "there is no suite"),
    ],
)
def test_what_is_no_suite_of_katas_is_told_in_a_line(spec: str, why: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(why)):
        load_suite(spec)


def test_a_suite_of_other_problems_has_another_digest() -> None:
    digests = [load_suite(spec).digest for spec in ("katas[:3]", "katas[:3]", "katas[:4]", "katas-depth3[:3]")]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


class TestCorpus:
    def test_it_is_made_from_the_recipes_seed_and_has_as_many_as_are_asked_for(self) -> None:
        prompts = [[trace.prompt for trace in self.traces(f"seed={seed}")] for seed in (0, 0, 1)]
        assert prompts[0] == prompts[1] != prompts[2]
        assert len(prompts[0]) == 20

    def test_the_experts_comments_are_those_that_help(self) -> None:
        for trace in self.traces():
            for line, comment in zip(trace.lines, trace.comments, strict=True):
                if comment is not None:
                    assert comment.startswith(f" {line.text.strip()[0]}: ")

    def test_depth_bounds_its_keys(self) -> None:
        assert max(terms(trace.prompt) for trace in self.traces("corpus.depth=2")) == 2

    def test_functions_of_two_lines_stay(self) -> None:
        """Bounds of a corpus that is read do not hold for one that is made."""
        assert min(len(trace.lines) for trace in self.traces()) == 2

    def test_no_function_of_it_is_a_problem(self) -> None:
        problems = {problem.prompt for name in NAMES for problem in load_suite(f"{name}[:100]").problems}
        assert not problems & {trace.prompt for trace in self.traces("corpus.limit=400")}

    def traces(self, *changes: str):  # type: ignore[no-untyped-def]
        return corpus_of(load_recipe("smoke", ["corpus.kind=katas", "corpus.limit=20", *changes])).traces
