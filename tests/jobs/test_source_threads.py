"""The imports of sources, read by several threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def test_threads_read_imports_at_once() -> None:
    """Where threads change over in the middle of a source, as on a collection of garbage, each gets its imports."""
    code = textwrap.dedent("""
        import gc, threading, time
        from pathlib import Path
        from mnistkit.jobs import source_code

        source = Path(source_code.__file__).read_bytes()
        expected = set(source_code._imported_names(source, "mnistkit.jobs"))
        gc.callbacks.append(lambda *_: time.sleep(0))
        gc.set_threshold(50)
        found = []
        def read():
            for _ in range(5):
                found.append(set(source_code._imported_names(source, "mnistkit.jobs")))
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(found), all(each == expected for each in found))
    """)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout == "15 True\n", ended.stderr[-2000:]
