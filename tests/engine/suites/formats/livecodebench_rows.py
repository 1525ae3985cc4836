"""Problems of our own in LiveCodeBench's exact format, each with solutions that are right and some that are not."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

from tests.engine.suites.formats.cases import Case, Pair


def packed(tests: Any) -> str:
    """As most rows have their private tests: base64 of zlib of a pickle of JSON text."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def row(
    name: str, date: str, public: list[Pair], private: list[Pair], *, function: str = "", starter: str = "", pack: bool
) -> dict[str, Any]:
    """A row as `test.jsonl` has it; of a function where one is named, else of a whole program."""
    kind = "functional" if function else "stdin"
    tests = [[{"input": given, "output": out, "testtype": kind} for given, out in part] for part in (public, private)]
    return {
        "question_title": name,
        "question_content": f"Solve {name}.",
        "platform": "leetcode" if function else "atcoder",
        "question_id": name,
        "contest_id": "c",
        "contest_date": f"{date}T00:00:00",
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": json.dumps(tests[0]),
        "private_test_cases": packed(tests[1]) if pack else json.dumps(tests[1]),
        "metadata": json.dumps({"func_name": function} if function else {}),
    }


def method(signature: str, *body: str) -> str:
    """A class `Solution` with one method."""
    return "\n".join(["class Solution:", f"    def {signature}:", *(f"        {line}" for line in body)]) + "\n"


_STARTER = "class Solution:\n    def {}:\n        "

CASES = [
    Case(
        row(
            "two-sum",
            "2023-08-21",
            [("[2, 7, 11]\n9", "[0, 1]")],
            [("[3, 3]\n6", "[0, 1]"), ("[1, 5, 9]\n14", "[1, 2]")],
            function="twoSum",
            starter=_STARTER.format("twoSum(self, nums: List[int], target: int) -> List[int]"),
            pack=True,
        ),
        (
            method(
                "twoSum(self, nums: List[int], target: int) -> List[int]",
                "pairs = combinations(range(len(nums)), 2)",
                "return next(p for p in pairs if nums[p[0]] + nums[p[1]] == target)",  # a tuple counts as a list
            ),
        ),
        (
            method("twoSum(self, nums, target)", "return [0, 1]"),
            method("twoSum(self, nums, target)", "return [(0, 1)]"),
            method("two_sum(self, nums, target)", "return [0, 1]"),
            "def twoSum(nums, target):\n    return [0, 1]\n",
        ),
    ),
    Case(
        row(
            "count-calls",
            "2024-01-05",
            [("1", "1")],
            [("5", "2"), ("7", "3")],
            function="count",
            starter=_STARTER.format("count(self, x: int) -> int"),
            pack=False,
        ),
        (method("count(self, x)", "self.n = getattr(self, 'n', 0) + 1", "return self.n"),),  # one Solution for all
        (method("count(self, x)", "return 1"),),
    ),
    Case(
        row(
            "half",
            "2024-08-01",
            [("1", "0.5")],
            [("3", "1.5")],
            function="half",
            starter=_STARTER.format("half(self, x: int) -> float"),
            pack=True,
        ),
        (method("half(self, x)", "return x / 2"),),
        (method("half(self, x)", "return x / 2 + 1e-12"),),  # no tolerance
    ),
    Case(
        row(
            "reverse-words",
            "2024-08-02",
            [('"a b"', '"b a"')],
            [('"x"\n', '"x"'), ('"\\u00e9 \\n"', '"\\u00e9"')],
            function="turn",
            starter=_STARTER.format("turn(self, s: str) -> str"),
            pack=True,
        ),
        (method("turn(self, s: str) -> str", "return ' '.join(reversed(s.split()))"),),
        (method("turn(self, s)", "return s"),),
    ),
    Case(
        row(
            "flags",
            "2024-08-03",
            [("[true, null]\n{}", "[null, true]")],
            [('[]\n{"a": [1]}', "[]")],
            function="flip",
            starter=_STARTER.format("flip(self, xs: List, d: dict) -> List"),
            pack=False,
        ),
        (method("flip(self, xs, d)", "return xs[::-1]"),),
        (method("flip(self, xs, d)", "return list(map(str, xs))"), method("flip(self, xs)", "return xs[::-1]")),
    ),
    Case(
        row("sum_lines", "2024-09-30", [("2\n1\n2\n", "3\n")], [("3\n1\n2\n3", "6"), ("0\n", "0")], pack=True),
        (
            "print(sum(int(input()) for _ in range(int(input()))))\n",
            "import sys\nrows = sys.stdin.buffer.read().split()\nprint(sum(map(int, rows[1:])))\n",
            "import sys\nn = int(sys.stdin.buffer.readline())\n"
            "print(sum(int(sys.stdin.buffer.readline()) for _ in range(n)))\n",  # which the official mock cannot
        ),
        ("print(3)\n", "print(input())\n", "print(1 / 0)\n", "def broken(:\n"),
    ),
    Case(
        row("half_of", "2024-10-01", [("1\n", "0.5\n")], [("4", "2.0"), ("3", "1.50")], pack=True),
        ("print(int(input()) / 2)\n", "print('%.3f' % (int(input()) / 2))\n", "print(f'{int(input()) / 2:e}')\n"),
        ("print(int(input()) / 2 + 1e-9)\n", "print(int(input()) // 2)\n"),
    ),
    Case(
        row("grid", "2024-11-11", [("2", "#.\n.#\n")], [("3", "#.#\n.#.\n#.#\n\n")], pack=False),
        (
            "n = int(input())\nfor i in range(n):\n    print(''.join('#.'[(i + j) % 2] for j in range(n)), ' ')\n",
            "n = int(input())\nprint('\\n'.join(''.join('#.'[(i + j) % 2] for j in range(n)) for i in range(n)))\n",
        ),
        (
            "n = int(input())\nprint(' '.join(''.join('#.'[(i + j) % 2] for j in range(n)) for i in range(n)))\n",
            "print('#.\\n.#\\n\\n..')\n",
        ),
    ),
    Case(
        row("big", "2025-01-31", [("10", "1" + "0" * 10)], [("6000", "1" + "0" * 6000)], pack=True),
        ("print(10 ** int(input()))\n",),  # more digits than Python prints by itself
        ("print(10 ** (int(input()) // 2))\n",),
    ),
    Case(
        row("deep", "2025-02-01", [("5", "5")], [("20000", "20000")], pack=True),
        ("def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\n\n\nprint(f(int(input())))\n",),
        ("def f(n):\n    return 0 if n == 0 else 2 + f(n - 1)\n\n\nprint(f(int(input())))\n",),
    ),
    Case(
        row("starred", "2025-03-01", [("8", "4 2")], [("18", "6 3")], pack=False),
        (
            "from __future__ import annotations\n\nn = int(input())\n"
            "divisors = [d for d in range(1, n + 1) if n % d == 0]\n"
            "print(len(divisors), Counter(map(partial(gcd, 2), divisors))[1] if n > 8 else isqrt(n))\n",
        ),
        ("n = int(input())\nprint(4, lcm(1, 2))\n",),
    ),
    Case(
        row("yes_no", "2025-04-01", [("1", "Yes")], [("2", "No")], pack=True),
        ("print('Yes' if int(input()) % 2 else 'No')\n", "print('Yes' if int(input()) % 2 else 'No', end='')\n"),
        ("print('YES' if int(input()) % 2 else 'NO')\n", "print('Yes')\n"),
    ),
]
