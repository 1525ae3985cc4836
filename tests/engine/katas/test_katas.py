"""Katas: what a docstring tells, what the expert writes and what the comment works out are one and the same."""

from __future__ import annotations

import ast
import re
from datetime import date, timedelta
from itertools import islice
from random import Random

import pytest

from engine.katas.judging import hidden_inputs
from engine.katas.keys import NOUNS, Key, Term
from engine.katas.operations import DOMAINS
from engine.katas.programs import ENTRY_POINT, MOST_TERMS, Kata, draw_kata
from engine.katas.splits import SPLITS, draw_katas, split_of

SEED = 5


def some(split="test", count=300, **options) -> list[Kata]:
    return list(islice(draw_katas(split, SEED, **options), count))


def test_a_docstrings_sums_are_the_keys_of_the_code():
    for kata in some():
        told = dict(re.findall(r"^    ([abc]): (.*)$", kata.prompt, re.MULTILINE))
        written = dict(re.findall(r"^    ([abc]) = (\d)$", kata.code, re.MULTILINE))
        assert told.keys() == written.keys()
        for name, sum_ in told.items():
            arithmetic = re.sub(r"[a-z]", "", sum_.removesuffix(" mod 10"))
            assert eval(arithmetic) % 10 == int(written[name]), kata.prompt


def test_a_comment_works_its_sum_out_term_by_term():
    key = Key((Term(1, "apples", 3), Term(1, "pears", 9), Term(-1, "figs", 4), Term(-1, "nuts", 9)))
    assert key.told == "apples 3 + pears 9 - figs 4 - nuts 9 mod 10"
    assert key.worked_out == " apples 3 + pears 9 2 - figs 4 8 - nuts 9 9"
    assert key.value == 9


def test_a_key_of_one_term_has_nothing_to_work_out():
    key = Key((Term(1, "apples", 3),))
    assert (key.told, key.worked_out, key.value) == ("3", None, 3)


def test_every_comment_leads_to_the_key_of_the_next_line_and_names_it():
    for kata in some():
        for line in kata.lines:
            if line.comment is not None:
                assert line.is_key
                assert line.comment.startswith(f" {line.code[0]}: ")
                assert line.comment[-1] == line.code[-1]


def test_no_noun_stands_twice_in_a_docstring():
    for kata in some():
        nouns = [word for word in re.findall(r"[a-z]+", kata.prompt) if word in NOUNS]
        assert len(nouns) == len(set(nouns))


def test_the_code_does_what_the_kata_says():
    for kata in some(count=200):
        for value in hidden_inputs(kata) or ():
            assert run(kata.prompt + kata.code, value) == kata.apply(value)
            assert run(kata.prompt + kata.commented, value) == kata.apply(value)


def run(source: str, value):
    scope: dict = {}
    exec(source, scope)  # noqa: S102 - our own
    return scope[ENTRY_POINT](value)


def source_mutants(kata: Kata) -> list[str]:
    """Other programs: one digit of a key changed, one line that changes the value left out, an operator turned."""
    rows = kata.code.split("\n")
    changed = []
    for number, row in enumerate(rows):
        if key := re.fullmatch(r"    [abc] = (\d)", row):
            changed += [(number, f"{row[:-1]}{digit}") for digit in range(10) if digit != int(key[1])]
        elif assigned := re.match(rf"    {kata.domain.variable} = ", row):
            changed.append((number, f"{assigned[0]}{kata.domain.variable}"))
        elif row.startswith("    return "):
            changed.append((number, f"    return {kata.domain.variable}"))
    return ["\n".join([*rows[:at], new, *rows[at + 1 :]]) for at, new in changed]


def test_hidden_tests_fail_every_mutant_of_the_source():
    judged = [(kata, inputs) for kata in some(count=150) if (inputs := hidden_inputs(kata))]
    assert len(judged) > 100
    for kata, inputs in judged:
        for mutant in source_mutants(kata):
            assert any(run(kata.prompt + mutant, value) != kata.apply(value) for value in inputs), mutant


def test_hidden_tests_fail_a_kata_with_another_operation():
    for kata in some(count=100):
        inputs = hidden_inputs(kata)
        for number, step in enumerate(kata.steps if inputs else ()):
            for other in kata.domain.operations:
                if other is step.operation:
                    continue
                wrong = Kata(
                    kata.domain, (*kata.steps[:number], step._replace(operation=other), *kata.steps[number + 1 :])
                )
                if other.keyed and step.key is None:
                    continue  # without a key there is no such program
                assert any(wrong.apply(value) != kata.apply(value) for value in inputs), (kata.normal_form, other)


@pytest.mark.parametrize(("phrase", "digit"), [("add {k} to each", 0), ("drop the first {k}", 0)])
def test_a_constant_that_does_not_matter_has_no_hidden_tests(phrase, digit):
    lists = DOMAINS[0]
    operation = next(op for op in lists.operations if op.phrase == phrase)
    kata = draw_kata(Random(0))
    kata = Kata(lists, (kata.steps[0]._replace(operation=operation, key=Key((Term(1, "apples", digit),))),))
    assert hidden_inputs(kata) is None


def inlined(source: str, variable: str) -> str:
    """An independent normal form: the syntax tree with constants in the place of names, each step by itself."""
    function = ast.parse(source).body[-1]
    constants: dict[str, ast.expr] = {}

    class Inline(ast.NodeTransformer):
        def visit_Name(self, node):
            return constants.get(node.id, node)

    steps = []
    for statement in function.body[1:]:
        name = getattr(statement, "targets", [None])[0]
        if name is not None and name.id != variable:
            constants[name.id] = statement.value
        else:
            steps.append(ast.dump(Inline().visit(statement.value)))
    return f"{variable} {steps}"


def test_two_katas_have_one_normal_form_exactly_when_their_code_has():
    forms: dict[str, str] = {}
    for kata in some("midtrain", 2000, depth=2):
        independent = inlined(kata.prompt + kata.code, kata.domain.variable)
        assert forms.setdefault(kata.normal_form, independent) == independent
    assert len(set(forms.values())) == len(forms)


def test_no_two_splits_have_a_function_in_common():
    forms = {
        split: {inlined(kata.prompt + kata.code, kata.domain.variable) for kata in some(split, 2000)}
        for split in SPLITS
    }
    for split in SPLITS:
        for other in SPLITS:
            assert split == other or not forms[split] & forms[other]


def test_pre_training_has_no_novel_operation_and_the_others_have():
    assert not any(kata.novel for kata in some("pretrain", 1000))
    assert all(any(kata.novel for kata in some(split, 50)) for split in SPLITS if split != "pretrain")
    assert all(any(op.novel for op in domain.operations) for domain in DOMAINS)


def test_a_split_follows_from_its_seed_alone():
    first, again, other = (
        [kata.prompt for kata in islice(draw_katas("test", seed), 20)] for seed in (SEED, SEED, SEED + 1)
    )
    assert first == again != other
    assert {split_of(kata) for kata in some("rlvr", 50)} == {"rlvr"}


@pytest.mark.parametrize("depth", range(1, MOST_TERMS + 1))
def test_depth_is_the_most_terms_of_a_key(depth):
    assert max(kata.depth for kata in some(depth=depth)) == depth
    assert min(kata.depth for kata in some(depth=depth)) >= 1  # each needs a key


def test_dates_are_dates_and_move_as_told():
    weeks = next(op for op in DOMAINS[3].operations if op.phrase == "go {k} weeks on")
    assert weeks.function(date(2026, 1, 1), 2) == date(2026, 1, 1) + timedelta(days=14)
