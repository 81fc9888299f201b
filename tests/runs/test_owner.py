"""The owner of a run's record: the process that it is, whatever the clock says."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from mnistkit.runs.folder import owner as owners
from mnistkit.runs.folder.owner import Owner


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep the time at which a process started")
@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 10 * 365 * 86400.0])
def test_a_clock_that_is_set_ends_no_owner(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Linux computes when it was booted from the clock of now; a process that runs is there all the same."""
    owner = Owner.of(os.getpid())
    booted = psutil._psplatform.boot_time
    monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: booted() + seconds)
    assert not owner.is_gone()


def test_an_owner_that_ended_is_gone() -> None:
    """Also while nobody has collected it."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(process.pid)
    assert not owner.is_gone()
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_gone()
    process.wait()
    assert owner.is_gone()


def test_an_owner_of_before_the_last_boot_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process ids and times since the boot come again after one."""
    owner = Owner.of(os.getpid())
    monkeypatch.setattr(owners, "_boot_id", lambda: "another")
    assert owner.is_gone()


def test_an_owner_that_may_not_be_looked_at_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may hide other users' processes: that says nothing of their end."""

    def hidden(self: psutil.Process) -> str:
        raise psutil.AccessDenied

    owner = Owner.of(os.getpid())
    monkeypatch.setattr(psutil.Process, "status", hidden)
    assert not owner.is_gone()
