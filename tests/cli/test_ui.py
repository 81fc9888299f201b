"""``mnistkit ui``: the printed address lets a browser in, and a signal ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="the extra 'ui' isn't installed")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_it_serves_until_a_signal(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """The first line is the address with its token; SIGTERM ends it with 0 and without a traceback."""
    from support.ui import Visitor

    process = start("ui", "--port", "0", "--home", str(tmp_path / "there"))
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    visitor = Visitor.of(url)
    assert json.loads(visitor.get("/api/runs").data)["total"] == 0
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert not (tmp_path / "there").exists()


def test_its_help(mnistkit: Any) -> None:
    """The help names its options."""
    out = mnistkit("ui", "--help").out
    for option in ("--port", "--home", "--allow-changes", "--json"):
        assert option in out
