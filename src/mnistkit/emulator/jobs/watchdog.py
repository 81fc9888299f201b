"""A process that outlives another one for a moment and ends its descendants; run by its path, with a mark.

It reads its standard input, which ends when the other process does, however that ends. Then it ends every process whose
environment holds the mark.
"""

from __future__ import annotations

import os
import signal
import sys
import time

_POLL_SECONDS = 0.05
_SWEEP_SECONDS = 10.0


def _sweep(mark: bytes) -> bool:
    """Kill all processes with the mark; return True if there were any."""
    import psutil

    found = False
    for process in psutil.process_iter(["environ", "status"]):
        environment = process.info["environ"] or {}
        if process.pid != os.getpid() and mark.decode() in environment.values():
            if process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            found = True
            try:
                process.kill()
            except psutil.Error:
                continue
    return found


def main() -> None:
    """Wait for the end of the other process, then kill what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    mark = sys.argv[1].encode()
    while sys.stdin.buffer.read(1024):
        pass
    deadline = time.monotonic() + _SWEEP_SECONDS
    while _sweep(mark) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
