"""What the worker cleans up after a supervisor that was killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux alone")


def test_the_children_of_a_stray_that_ends_while_it_is_looked_at_are_ended() -> None:
    """A stray that ends after the list of processes was read leaves its child to this process: it isn't forgotten."""
    code = textwrap.dedent("""
        import os, signal, time
        import psutil
        from mnistkit.runs.folder import processes
        from mnistkit.runs.folder.dispatcher import Dispatcher

        processes.adopt_orphans()
        read, write = os.pipe()
        stray = os.fork()
        if not stray:
            child = os.fork()
            if child:
                os.write(write, str(child).encode())
            time.sleep(600)
            os._exit(0)
        child = int(os.read(read, 20))
        listed = psutil.Process.children

        def children(self, **options):
            found = listed(self, **options)
            if any(each.pid == stray for each in found):
                os.kill(stray, signal.SIGKILL)
                os.waitid(os.P_PID, stray, os.WEXITED | os.WNOWAIT)  # it is a zombie by now
            return found

        psutil.Process.children = children
        try:
            Dispatcher(0, 1)._end_strays()
            processes.reap()
            print("left" if psutil.pid_exists(child) else "ended")
        finally:
            try:
                os.kill(child, signal.SIGKILL)
            except OSError:
                pass
    """)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "ended\n"
