"""What must end before the interpreter exits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

OWNERS = """
import atexit, os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from mnistkit.utils.lifetime import finish_at_exit

class Owner:
    def __init__(self, name):
        self.name, self.work = name, [name]
    def finish(self):
        with ThreadPoolExecutor(1) as pool:
            while self.work:
                pool.submit(print, "finished", self.work.pop(), flush=True).result()

def trouble(owner):
    raise OSError("planted by the test")

first, second, troubled = Owner("first"), Owner("second"), Owner("troubled")
finish_at_exit(first, Owner.finish)
finish_at_exit(Owner("collected"), Owner.finish)
finish_at_exit(troubled, trouble)
finish_at_exit(second, Owner.finish)
"""


def run(code: str) -> list[str]:
    """The lines that a program prints."""
    done = subprocess.run([sys.executable, "-c", OWNERS + code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_owners_are_finished_in_order() -> None:
    """At exit each owner that is left is finished, with thread pools at work, whatever another one raises."""
    assert run("") == ["finished first", "finished second"]


def test_what_exit_functions_begin_is_finished_too() -> None:
    """An owner that gets more to do from a function of `atexit` is finished again; one may also come only then."""
    code = "late = Owner('late')\natexit.register(lambda: finish_at_exit(late, lambda late: print('finished late')))"
    assert run(code) == ["finished first", "finished second", "finished late"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_finishes_nothing_of_its_parents() -> None:
    """What was registered before a fork is the parent's alone."""
    code = "pid = os.fork()\nif pid == 0: sys.exit()\nos.waitpid(pid, 0)\nprint('child gone', flush=True)"
    assert run(code) == ["child gone", "finished first", "finished second"]
