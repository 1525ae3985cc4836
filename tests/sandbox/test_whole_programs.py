"""A whole program gives what ``python FILE`` gives: the same output, byte for byte, and the same end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import Job, Limits, Program, Verdict, open_sandbox
from sandbox.backends.surroundings import ENVIRONMENT
from tests.sandbox.conftest import Judge

STDIN = "3\r\n1 2 3\n\nlast"
ROOMY = Limits(memory_mb=512)
PROGRAMS = {
    "what the module holds": (
        "import sys,os\n"
        "print(sys.argv, os.path.basename(__file__), __name__, __doc__, __spec__, __package__, __cached__)\n"
        "print(type(__builtins__).__name__, sorted(k for k in globals()))\n"
    ),
    "docstring and annotations": ("'''doc'''\nprint(__doc__)\nx:int=3\nprint(__annotations__)\n"),
    "the source of what it defines": (
        "import inspect\n"
        "def f(x):\n"
        "    # hi\n"
        "    return x\n"
        "class A:\n"
        "    def g(self): pass\n"
        "print(inspect.getsource(f),inspect.getsource(A))\n"
        "print(inspect.getsourcefile(f)==__file__)\n"
    ),
    "handlers at exit": ("import atexit\natexit.register(print,'a')\natexit.register(print,'b')\nprint('c')\n"),
    "a handler that fails": ("import atexit\natexit.register(lambda: 1/0)\natexit.register(print,'b')\nprint('c')\n"),
    "a handler that exits": (
        "import atexit,sys\ndef f(): sys.exit(3)\natexit.register(print,'z')\natexit.register(f)\nprint('c')\n"
    ),
    "finalizers of globals": (
        "class A:\n"
        "  def __init__(s,n): s.n=n\n"
        "  def __del__(s): print('del',s.n)\n"
        "a=A(1);b=A(2)\n"
        "c=[A(3)]\n"
        "d={'x':A(4)}\n"
        "print('end')\n"
    ),
    "a finalizer that uses globals": ("import math\nk=5\nclass A:\n  def __del__(s): print('del',k, math.pi)\na=A()\n"),
    "a finalizer of what is kept in builtins": (
        "import builtins\nclass A:\n  def __del__(s): print('del')\nbuiltins.foo=A()\n"
    ),
    "a finalizer of what is kept in a module": ("import os\nclass A:\n  def __del__(s): print('del')\nos.foo=A()\n"),
    "a finalizer in a cycle": ("class A:\n  def __del__(s): print('del')\na=A();a.me=a\n"),
    "finalizers after an exception": (
        "class A:\n  def __del__(s): print('del')\na=A()\ndef f():\n  b=A()\n  raise ValueError('x')\nf()\n"
    ),
    "the finally of a generator": ("def g():\n  try:\n    yield 1\n  finally: print('fin')\nx=g();next(x)\n"),
    "the finally of a generator kept in a module": (
        "import os\ndef g():\n  try:\n    yield 1\n  finally: print('fin')\nx=g();next(x)\nos.x=x\n"
    ),
    "a context that is never left": (
        "import contextlib\n"
        "@contextlib.contextmanager\n"
        "def c():\n"
        "  try: yield\n"
        "  finally: print('left')\n"
        "y=c();y.__enter__()\n"
    ),
    "a weak reference's finalizer": ("import weakref\nclass A: pass\na=A()\nweakref.finalize(a,print,'fin')\n"),
    "a file on descriptor 1": ("f=open(1,'w')\nf.write('hello')\n"),
    "one that is kept in a module": ("import os\nos.f=open(1,'w')\nos.f.write('hello')\n"),
    "a copy of descriptor 1": ("import os\nf=os.fdopen(os.dup(1),'w')\nf.write('hello')\n"),
    "standard output replaced": ("import sys\nsys.stdout=open(1,'w')\nprint('hello')\n"),
    "standard output wrapped": (
        "import sys,io\nsys.stdout=io.TextIOWrapper(sys.stdout.buffer,write_through=False)\nprint('hello')\n"
    ),
    "standard output detached": ("import sys,io\nsys.stdout=io.TextIOWrapper(sys.stdout.detach())\nprint('hello')\n"),
    "bytes that are buffered": (
        "import sys,io\nout=io.BufferedWriter(io.FileIO(1,'w',closefd=False))\nout.write(b'hello')\n"
    ),
    "two buffers in order": ("import sys\nprint('a')\nf=open(1,'w',closefd=False)\nf.write('b\\n')\nprint('c')\n"),
    "a thread that outlives main": (
        "import threading,time\n"
        "def f():\n"
        "  time.sleep(.05);print('t')\n"
        "threading.Thread(target=f).start()\n"
        "print('m')\n"
    ),
    "a daemon thread": (
        "import threading,time\n"
        "def f():\n"
        "  time.sleep(5);print('t')\n"
        "threading.Thread(target=f,daemon=True).start()\n"
        "print('m')\n"
    ),
    "a thread, then handlers": (
        "import threading,time,atexit\n"
        "atexit.register(print,'x')\n"
        "def f():\n"
        "  time.sleep(.05);print('t')\n"
        "threading.Thread(target=f).start()\n"
        "print('m')\n"
    ),
    "exit with a text": ("import sys\nprint('a')\nsys.exit('msg')\n"),
    "exit with a status": ("import sys\nprint('a')\nsys.exit(3)\n"),
    "exit with a status that wraps": ("import sys\nprint('a')\nsys.exit(256)\n"),
    "exit with True": ("import sys\nprint('a')\nsys.exit(True)\n"),
    "exit with a tuple": ("import sys\nprint('a')\nsys.exit((1,2))\n"),
    "exit with nothing": ("import sys\nprint('a')\nsys.exit()\n"),
    "exit with a negative status": ("import sys\nprint('a')\nsys.exit(-1)\n"),
    "an exception of its own": ("class E(Exception): pass\nprint('a')\nraise E('x')\n"),
    "an exception hook": ("import sys\nsys.excepthook=lambda *a: print('hook',a[1])\nraise ValueError('x')\n"),
    "what does not compile": "print(1\n",
    "all of the input": ("import sys\nprint(repr(sys.stdin.read()))\n"),
    "all of the input as bytes": ("import sys\nprint(sys.stdin.buffer.read())\n"),
    "the device of the input": "print(repr(open('/dev/stdin').read()))\n",
    "the descriptor of the input": "print(repr(open(0).read()))\n",
    "its newlines": "print(repr(open(0,newline='').read()))\n",
    "line after line": ("try:\n  while True: print(repr(input()))\nexcept EOFError: print('eof')\n"),
    "readline": ("import sys\nr=sys.stdin.readline\nprint(repr(r()),repr(r()))\n"),
    "lines iterated over": ("import sys\nfor l in sys.stdin: print(repr(l))\n"),
    "a read of the descriptor": ("import os\nprint(os.read(0,1000))\n"),
    "what the streams are": (
        "import sys\n"
        "print(sys.stdin.isatty(),sys.stdout.isatty(),sys.stdin.encoding,sys.stdout.encoding,sys.stdin.newlines,sys.stdout.line_buffering)\n"
    ),
    "their descriptors": ("import sys\nprint(sys.stdin.fileno(),sys.stdout.fileno(),sys.stdin.name,sys.stdout.name)\n"),
    "every byte": ("import sys\nsys.stdout.buffer.write(bytes(range(256)))\n"),
    "carriage returns": ("import sys\nsys.stdout.write('a\\r\\nb\\r\\n')\n"),
    "a pool of processes": (
        "import multiprocessing as m\n"
        "def f(x): return x*x\n"
        "if __name__=='__main__':\n"
        "  with m.Pool(2) as p: print(p.map(f,range(5)))\n"
    ),
    "a process and a queue": (
        "import multiprocessing as m\n"
        "def f(q): q.put(3)\n"
        "if __name__=='__main__':\n"
        "  q=m.Queue();p=m.Process(target=f,args=(q,));p.start();print(q.get());p.join();print(p.exitcode)\n"
    ),
    "a lock between processes": (
        "import multiprocessing as m\nl=m.Lock();v=m.Value('i',0)\nwith l: v.value+=1\nprint(v.value)\n"
    ),
    "an array between processes": (
        "import multiprocessing as m\n"
        "a=m.Array('i',3)\n"
        "def f(a): a[1]=5\n"
        "p=m.Process(target=f,args=(a,));p.start();p.join();print(a[:])\n"
    ),
    "an executor of threads": (
        "from concurrent.futures import ThreadPoolExecutor as T\nwith T() as t: print(list(t.map(abs,[-1,2])))\n"
    ),
    "an executor of processes": (
        "from concurrent.futures import ProcessPoolExecutor as T\nwith T(2) as t: print(list(t.map(abs,[-1,2])))\n"
    ),
    "time zones": (
        "from zoneinfo import ZoneInfo,available_timezones\n"
        "from datetime import datetime\n"
        "print(datetime(2024,7,1,tzinfo=ZoneInfo('America/New_York')).utcoffset(), len(available_timezones())>400)\n"
    ),
    "a time zone of the environment": (
        "import os,time\nos.environ['TZ']='Asia/Tokyo'\ntime.tzset()\nprint(time.strftime('%H %Z',time.localtime(0)))\n"
    ),
    "pickle": ("import pickle\nclass A:\n  def __init__(s): s.x=1\nprint(pickle.loads(pickle.dumps(A())).x)\n"),
    "itself imported": ("import __main__\nx=3\nprint(__main__.x)\n"),
    "type hints": (
        "from __future__ import annotations\n"
        "import typing,dataclasses\n"
        "@dataclasses.dataclass\n"
        "class A:\n"
        "  x:int\n"
        "  y:'A|None'=None\n"
        "print(typing.get_type_hints(A))\n"
    ),
    "doctest": ("def f(x):\n  '''\n  >>> f(1)\n  2\n  '''\n  return x+1\nimport doctest\nprint(doctest.testmod())\n"),
    "unittest": (
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "  def test_a(self): self.assertEqual(1,1)\n"
        "if __name__=='__main__': unittest.main(verbosity=0)\n"
    ),
    "asyncio": ("import asyncio\nasync def m():\n  await asyncio.sleep(0.01)\n  print('x')\nasyncio.run(m())\n"),
    "an asynchronous generator left": (
        "import asyncio\n"
        "async def g():\n"
        "  try:\n"
        "    yield 1\n"
        "  finally: print('fin')\n"
        "async def m():\n"
        "  async for x in g(): break\n"
        "asyncio.run(m())\n"
    ),
    "an alarm": (
        "import signal,time\n"
        "def h(*a): print('alarm')\n"
        "signal.signal(signal.SIGALRM,h)\n"
        "signal.setitimer(signal.ITIMER_REAL,.02)\n"
        "time.sleep(.1)\n"
    ),
    "signal handlers": (
        "import signal\n"
        "print(*[signal.getsignal(getattr(signal, f'SIG{name}')) for name in ('INT', 'TERM', 'PIPE', 'CHLD')])\n"
    ),
    "temporary files": (
        "import tempfile\n"
        "with tempfile.NamedTemporaryFile('w+') as f:\n"
        "  f.write('x');f.seek(0);print(f.read())\n"
        "with tempfile.TemporaryDirectory() as d: print(len(d)>3)\n"
    ),
    "a file": (
        "open('x.txt','w').write('hi')\nprint(open('x.txt').read())\nimport os;print(os.path.exists('x.txt'))\n"
    ),
    "a module it wrote": ("open('mymod.py','w').write('y=4')\nimport mymod;print(mymod.y)\n"),
    "its own text": "print(open(__file__).read())\n",
    "recursion": (
        "def f(n): return 0 if n==0 else 1+f(n-1)\n"
        "print(f(990))\n"
        "import sys\n"
        "def d(n):\n"
        "  try: return d(n+1)\n"
        "  except RecursionError: return n\n"
        "print(d(1))\n"
    ),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n==0 else 1+f(n-1)\nprint(f(50000))\n"
    ),
    "a cache": (
        "import functools\n@functools.lru_cache(None)\ndef f(n): return n if n<2 else f(n-1)+f(n-2)\nprint(f(300))\n"
    ),
    "logging": (
        "import logging,sys\nlogging.basicConfig(stream=sys.stdout,format='%(message)s')\nlogging.warning('x')\n"
    ),
    "warnings": ("import warnings\nwarnings.warn('x')\nprint(1)\n"),
    "quit": ("print(1)\nquit()\nprint(2)\n"),
    "the built-ins of site": ("print(exit, quit, copyright is not None, license is not None)\nprint(callable(help))\n"),
    "the path of imports": (
        "import sys\n"
        "print(sys.flags.dont_write_bytecode in (0,1), sys.path[0]==__import__('os').getcwd(), sys.platform)\n"
    ),
    "who it is": ("import getpass\nprint(len(getpass.getuser())>0)\n"),
    "letters of all kinds": "print('é ☃ 𝄞')\n",
    "half a character": "print('\\udcff')\n",
    "standard output closed": ("import sys\nprint('a')\nsys.stdout.close()\n"),
    "its descriptor closed": ("import os,sys\nprint('a')\nsys.stdout.flush()\nos.close(1)\n"),
    "a fork": (
        "import os,sys\n"
        "print('p',flush=True)\n"
        "pid=os.fork()\n"
        "if pid==0:\n"
        "  print('c')\n"
        "else:\n"
        "  os.waitpid(pid,0)\n"
        "  print('q')\n"
    ),
    "a fork that exits": (
        "import os,sys\n"
        "pid=os.fork()\n"
        "if pid==0:\n"
        "  sys.exit(3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid,0)[1]))\n"
    ),
    "modules forgotten": ("import sys\nsys.modules.clear()\nprint(1)\n"),
    "itself forgotten": ("import sys\ndel sys.modules['__main__']\nclass A:\n  def __del__(s): print('del')\na=A()\n"),
    "globals cleared": ("import sys\nprint(1)\nglobals().clear()\n"),
    "numpy": ("import numpy as np\nprint(np.linalg.det(np.eye(3)), np.arange(3)@np.arange(3))\n"),
    "pandas": ("import pandas as pd\nprint(pd.DataFrame({'a':[1,2]}).a.sum())\n"),
    "sympy": ("import sympy\nprint(sympy.factorint(84))\n"),
    "sortedcontainers": ("from sortedcontainers import SortedList\nprint(SortedList([3,1]))\n"),
    "fileinput": ("import fileinput\nprint([l for l in fileinput.input()])\n"),
    "argparse": (
        "import argparse\n"
        "p=argparse.ArgumentParser();p.add_argument('f',nargs='?',type=argparse.FileType('r'),default='-')\n"
        "print(p.parse_args().f.read())\n"
    ),
    "its name": ("import sys\nprint(sys.argv[0]==__file__.rsplit('/',1)[-1])\n"),
    "timeit": ("import timeit\nprint(timeit.timeit('1',number=1)>=0)\n"),
    "shared memory": ("import mmap\nm=mmap.mmap(-1,10);m[:2]=b'hi';print(m[:2])\n"),
    "a pair of sockets": ("import socket\na,b=socket.socketpair();a.send(b'x');print(b.recv(1))\n"),
    "a pipe": ("import os\nr,w=os.pipe();os.write(w,b'x');print(os.read(r,1))\n"),
    "the device of the output": ("with open('/dev/stdout', 'w') as f:\n    f.write('x')\nprint(1)\n"),
}
"""What each is about, and its source."""


def natively(program: str, folder: Path) -> tuple[bool, str]:
    """Whether it ends with status 0, and what it prints."""
    file = folder / "main.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, "main.py"],
        input=STDIN.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=ENVIRONMENT,
        check=False,
    )
    return done.returncode == 0, done.stdout.decode("utf-8", "backslashreplace")


@pytest.mark.medium
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_runs_as_python_runs_a_file(judge: Judge, tmp_path: Path, program: str) -> None:
    result = judge(program, Program(STDIN), ROOMY)
    assert (result.verdict is Verdict.PASSED, result.stdout) == natively(program, tmp_path), result.stderr


SOURCES = {
    "a byte order mark": "\ufeffprint(1)\n",
    "an encoding cookie": "# -*- coding: latin-1 -*-\nprint(1)\n",
    "carriage returns": "if True:\r\n    print(1)\r\n",
    "a form feed": "\f\nprint(1)\n",
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_a_source_may_have_every_form_that_a_file_has(judge: Judge, source: str) -> None:
    assert judge(source, Program()).stdout == "1\n"


def test_a_letter_of_the_source_is_that_letter_whatever_the_cookie_says(judge: Judge) -> None:
    assert judge("# coding: latin-1\nprint('\u00e9')\n", Program()).stdout == "\u00e9\n"


@pytest.mark.parametrize("source", ["print(1)\0", "print('\ud800')", "```python\nprint(1)\n```"])
def test_what_is_no_source_is_a_syntax_error(judge: Judge, source: str) -> None:
    assert judge(source, Program()).verdict is Verdict.SYNTAX_ERROR


SURROUNDINGS = """
import os, socket, sys

def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""

print(os.cpu_count(), socket.gethostname(), os.getcwd(), os.getuid(), os.umask(0))
print(sorted(os.environ.items()), sys.path, sorted(os.listdir("/packages")), os.listdir())
print([read(path) for path in ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/etc/passwd", "/etc/group")])
print([(name, os.path.exists(f"/dev/{name}")) for name in ("null", "fd", "stdin", "stdout", "shm", "urandom", "mem")])
print(sorted(os.listdir("/usr/share/zoneinfo")) if os.path.exists("/usr/share/zoneinfo") else None)
"""


def test_a_candidate_finds_the_same_around_it_on_every_backend(docker_host: str) -> None:
    with open_sandbox("namespaces", 1) as namespaces, open_sandbox("docker", 1) as docker:
        here, there = (next(box.judge([Job(SURROUNDINGS, Program())])) for box in (namespaces, docker))
    assert here.verdict is Verdict.PASSED, here.stderr
    assert here.stdout == there.stdout
    assert here.packages == there.packages
