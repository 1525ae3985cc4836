"""Problems of our own in the format of open-r1's Codeforces, with solutions that are right and some that are not."""

from __future__ import annotations

from typing import Any

from tests.engine.suites.formats.cases import Case, Pair


def row(id_: str, tests: list[Pair] | None, **changes: Any) -> dict[str, Any]:
    """A row with every field that the data set has."""
    told = None if tests is None else [{"input": given, "output": wanted} for given, wanted in tests]
    contest, index = id_.split("/")
    return {
        "id": id_,
        "aliases": None,
        "contest_id": contest,
        "contest_name": "Own",
        "contest_type": "CF",
        "contest_start": 1325689200,
        "contest_start_year": 2012,
        "index": index,
        "time_limit": 2.0,
        "memory_limit": 256.0,
        "title": f"Problem {index}",
        "description": "Do as the examples do.",
        "input_format": "Numbers.",
        "output_format": "Numbers.",
        "interaction_format": None,
        "note": None,
        "examples": (told or [])[:1],
        "editorial": None,
        "rating": 800,
        "tags": [],
        "testset_size": len(told or []),
        "official_tests": told,
        "official_tests_complete": True,
        "input_mode": "stdio",
        "generated_checker": None,
        "executable": True,
        "generated_tests": 0,
    } | changes


_READ = "import sys\ngiven, correct, solution = (open(path).read().split() for path in sys.argv[1:])\n"
PARTITION = _READ + (
    "try:\n    a, b = map(int, solution)\n    ok = a > 0 and b > 0 and a + b == int(given[0])\n"
    "except ValueError:\n    ok = False\nprint({yes} if ok else 0)\n"
)
"""Accepts two numbers above 0 with the sum that is asked for."""

CASES = [
    Case(
        row("1/A", [("1 2\n", "3\n"), ("5 7\n", "12\n")]),
        ("print(sum(map(int, input().split())))\n", "print('', sum(map(int, input().split())), '')\n"),
        ("print(3)\n", "print(3.0)\n", "print(1 / 0)\n", "oops(\n"),
    ),
    Case(  # letters of yes and no do not count, those of other words do
        row("2/A", [("4\n", "YES\nOdd\n"), ("3\n", "NO\nOdd\n")]),
        ("print('yes' if int(input()) % 2 == 0 else 'No')\nprint('Odd')\n",),
        ("print('yes' if int(input()) % 2 == 0 else 'No')\nprint('odd')\n", "print('YES')\nprint('Odd')\n"),
    ),
    Case(  # white space, empty lines and carriage returns do not count, lines do
        row("3/A", [("2\n", "1 2\r\n\r\n3  4\r\n")]),
        (
            "print('1   2')\nprint()\nprint(' 3 4 ')\n",
            "import sys\nsys.stdout.write('1 2\\r\\n3 4')\n",
        ),
        ("print('1 2 3 4')\n", "print(12)\nprint(34)\n"),
    ),
    Case(  # decimals are text
        row("4/A", [("1\n", "0.5\n")], time_limit=0.5),
        ("print(int(input()) / 2)\n",),
        ("print('0.50')\n", "print(.5 + 1e-12)\n"),
    ),
    Case(  # a checker that says 1
        row("5/A", [("7\n", "1 6\n"), ("10\n", "1 9\n")], generated_checker=PARTITION.format(yes=1)),
        ("n = int(input())\nprint(1, n - 1)\n", "n = int(input())\nprint(n // 2, n - n // 2)\n"),
        ("print(1, 6)\n", "n = int(input())\nprint(0, n)\n", "print()\n", "print('x y')\n"),
    ),
    Case(  # a checker that says 100, and words of the candidate's that it does not listen to
        row("6/B", [("7\n", "1 6\n")], generated_checker=PARTITION.format(yes=100)),
        ("print(3, 4)\n",),
        ("print(100)\n", "print(1)\n", "import sys\nprint(1, file=sys.stderr)\nprint(3, 5)\n"),
    ),
    Case(  # files, what is printed does not count
        row("7/C", [("3 4\n", "12\n"), ("0 5\n", "0\n")], input_mode="file"),
        ("a, b = map(int, open('input.txt').read().split())\nopen('output.txt', 'w').write(str(a * b))\nprint('!')\n",),
        (
            "a, b = map(int, open('input.txt').read().split())\nprint(a * b)\n",
            "a, b = map(int, input().split())\nopen('output.txt', 'w').write(str(a * b))\n",
            "import os\nos.symlink('input.txt', 'output.txt')\n",
            "import os\nos.mkfifo('output.txt')\n",
            "import os\nos.mkdir('output.txt')\n",
            "open('correct_output.txt')\n",
        ),
    ),
    Case(  # files, and a checker
        row("8/D", [("9\n", "4 5\n")], input_mode="file", generated_checker=PARTITION.format(yes=1)),
        ("open('output.txt', 'w').write(f\"1 {int(open('input.txt').read()) - 1}\")\n",),
        ("open('output.txt', 'w').write('9 9')\n", "open('output.txt', 'w').write('1')\n"),
    ),
    Case(  # no limits of its own
        row("9/A", [("2\n", "4\n")], time_limit=None, memory_limit=None),
        ("print(int(input()) ** 2)\n",),
        ("print(5)\n",),
    ),
    Case(  # little memory
        row("10/A", [("1000\n", "1000\n")], memory_limit=64.0, time_limit=0.4),
        ("print(len(bytearray(int(input()))))\n",),
        ("print(len(bytearray(int(input()) * 10**6)) // 10**6)\n",),
    ),
    Case(  # no mode is told
        row("11/A", [("a\n", "A\n"), ("b\n", "B\n")], input_mode=None),
        ("print(input().upper())\n",),
        ("print('A')\n",),
    ),
]
INTERACTIVE = row("12/E", [("1\n", "1\n")], interaction_format="Ask, then answer.")
"""A row that no tests can judge."""
