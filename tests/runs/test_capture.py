"""What a thread writes goes to its run's log, and nothing else is disturbed."""

from __future__ import annotations

import contextlib
import gc
import io
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref

from mnistkit.runs.capture import captured


def test_print_and_warnings_of_a_run_are_in_its_log() -> None:
    """What the thread of a run prints is in its log, up to the end of the block.

    In a process of its own: threads that other tests left can end a `warnings.catch_warnings` at any moment, which
    takes away filters and hooks that were set since it began.
    """
    code = textwrap.dedent("""
        import io, sys, warnings
        from mnistkit.runs.capture import captured

        class Log(io.BytesIO):
            def close(self):
                sys.stdout.buffer.write(b"LOG " + self.getvalue())
                super().close()

        with captured(Log()):
            print("one")
            warnings.warn("two", stacklevel=1)
        print("three")
    """)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    text = ended.stdout.partition("LOG ")[2].removesuffix("three\n")
    assert "one" in text
    assert "UserWarning: two" in text
    assert "three" not in text
    assert not ended.stderr


def test_warnings_of_a_run_reach_its_log_after_the_hook_is_gone() -> None:
    """A `warnings.catch_warnings` of another thread that ends meanwhile resets it; standard error still leads there."""
    code = textwrap.dedent("""
        import io, sys, warnings
        from mnistkit.runs.capture import captured

        class Log(io.BytesIO):
            def close(self):
                sys.stdout.buffer.write(self.getvalue())
                super().close()

        other = warnings.catch_warnings()
        other.__enter__()
        with captured(Log()):
            other.__exit__(None, None, None)
            warnings.warn("two", stacklevel=1)
    """)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "UserWarning: two" in ended.stdout
    assert not ended.stderr


def test_a_stream_in_use_outlives_its_run() -> None:
    """Python's print holds sys.stdout without a reference: what stood for it isn't freed when the run ends."""
    with captured(_Log()):
        streams = [weakref.ref(sys.stdout), weakref.ref(sys.stderr)]
    gc.collect()
    assert all(stream() is not None for stream in streams)


def test_python_ends_without_a_word_after_runs() -> None:
    """What stood for the streams is finalized after this module: Python 3.13 and later print what is raised then."""
    code = "import io\nfrom mnistkit.runs.capture import captured\nwith captured(io.BytesIO()):\n    pass\n"
    code += (
        "import mnistkit.runs.capture as module\nstream = module._stand_ins[0]\nmodule._sink = None\nstream.close()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_stream_that_is_put_back_late_is_not_wrapped_again() -> None:
    """A program that saved the streams or warnings during a run, and restores them after it, disturbs no later run."""
    before, shown = sys.stdout, warnings.showwarning
    out = io.StringIO()
    try:
        sys.stdout = out
        for _ in range(sys.getrecursionlimit()):
            with captured(_Log()):
                late = contextlib.redirect_stdout(io.StringIO())
                late.__enter__()
                during = warnings.showwarning
            late.__exit__(None, None, None)
            warnings.showwarning = during
        print("still there")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn("nothing", stacklevel=1)
    finally:
        sys.stdout, warnings.showwarning = before, shown
    assert out.getvalue() == "still there\n"


def test_streams_that_were_replaced_meanwhile_are_captured() -> None:
    """A run has what it prints in its log, also if the program replaced the streams since an unfinished run began."""
    begun, ending = threading.Event(), threading.Event()

    def first() -> None:
        with captured(_Log()):
            begun.set()
            ending.wait(timeout=30)

    thread = threading.Thread(target=first)
    thread.start()
    log = _Log()
    try:
        assert begun.wait(timeout=30)
        with contextlib.redirect_stdout(io.StringIO()), captured(log):
            print("one")
    finally:
        ending.set()
        thread.join()
    assert "one" in log.content.decode()


class _Log(io.BytesIO):
    """Keeps what was written when it is closed."""

    content = b""

    def close(self) -> None:
        self.content = self.content or self.getvalue()
        super().close()
