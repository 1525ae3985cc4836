"""When leaving with status 0 is a program's end, and when it is a way out of its tests."""

from __future__ import annotations

import pytest

from sandbox import Program, Verdict
from tests.sandbox.conftest import Judge

ENDS = {
    "a main function's status": "import sys\ndef main():\n    assert 1 + 1 == 2\n    return 0\nsys.exit(main())\n",
    "under the guard": "import sys\nif __name__ == '__main__':\n    assert True\n    sys.exit(0)\n",
    "from within main": "import sys\ndef main():\n    assert True\n    sys.exit()\nmain()\n",
    "a raise": "assert True\nraise SystemExit\n",
    "where what is left only tells": "import sys\nif True:\n    sys.exit(0)\nprint('failed')\nsys.exit(1)\n",
    "the built-in": "assert True\nexit(0)\n",
    "definitions after it are not waited for": "exit(0)\ndef never():\n    assert False\n",
    "in a finally": "import sys\ntry:\n    x = 1\nfinally:\n    sys.exit(0)\n",
    "unittest": (
        "import unittest\nclass T(unittest.TestCase):\n"
        "    def test(self):\n        self.assertEqual(1, 1)\nunittest.main()\n"
    ),
    "asyncio": "import asyncio, sys\nasync def main():\n    assert True\n    sys.exit(0)\nasyncio.run(main())\n",
}
LEAVES = {
    "an assert is left": "import sys\nsys.exit(0)\nassert False\n",
    "a call is left": "import sys\ndef check():\n    assert False\nsys.exit(0)\ncheck()\n",
    "an assert is left under the guard": "import sys\nif True:\n    sys.exit(0)\n    assert False\n",
    "the function under test leaves": "import sys\ndef f():\n    sys.exit(0)\nassert f() == 1\n",
    "inside the checks": "def f():\n    exit(0)\ndef check(g):\n    assert g() == 1\ncheck(f)\n",
    "what it gives is passed on": "def f():\n    exit(0)\ndef check(value):\n    assert value == 1\ncheck(f())\n",
    "what it gives is compared": "def f():\n    exit(0)\ndef g():\n    return f() == 1\ng()\n",
    "a later round of a loop": "for n in range(3):\n    if n == 1:\n        exit(0)\n    assert n != 2\n",
    "another status": "import sys\nsys.exit(1)\n",
    "a text": "import sys\nsys.exit('failed')\n",
    "no word at all": "import os\nos._exit(0)\n",
    "unittest that fails": (
        "import unittest\nclass T(unittest.TestCase):\n"
        "    def test(self):\n        self.assertEqual(1, 2)\nunittest.main()\n"
    ),
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS.keys())
def test_to_leave_where_nothing_was_left_to_be_asked_is_an_end(judge: Judge, program: str) -> None:
    assert judge(program, Program()).verdict is Verdict.PASSED


@pytest.mark.parametrize("program", LEAVES.values(), ids=LEAVES.keys())
def test_to_leave_before_it_is_an_early_exit(judge: Judge, program: str) -> None:
    assert judge(program, Program()).verdict is Verdict.EARLY_EXIT
