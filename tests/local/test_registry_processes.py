"""The folder registry with many processes at once, with some that are killed, and with clocks that jump."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from mnistkit.errors import MnistkitError
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.runs import run as runs
from mnistkit.utils.files import file_info
from support.naive import NaiveRegistry

TESTS = Path(__file__).parents[1]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
both = pytest.mark.parametrize(("kind", "is_sound"), [(FolderRegistry, True), (NaiveRegistry, False)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two files to register."""
    folder = tmp_path / "source"
    (folder / "extra").mkdir(parents=True)
    (folder / "model.skops").write_bytes(random.Random(0).randbytes(40_000))
    (folder / "extra" / "labels.txt").write_bytes(b"0\n1\n")
    return folder


def _run(task: str, kind: type, root: Path, source: Path, *numbers: int, locks: bool = True) -> list[str]:
    """Run `registry_writers`; returns what its processes said."""
    command = [
        sys.executable,
        str(TESTS / "support" / "registry_writers.py"),
        task,
        kind.__name__,
        str(root),
        str(source),
    ]
    environment = {**os.environ, **({} if locks else {"NO_LOCKS": "1"})}
    done = subprocess.run(
        [*command, *map(str, numbers)], capture_output=True, text=True, timeout=280, check=False, env=environment
    )
    assert done.returncode == 0 or kind is NaiveRegistry, done.stderr
    return done.stdout.splitlines()


def _race(kind: type[ModelRegistry], root: Path, source: Path, *shape: int, task: str = "race", locks: bool) -> bool:
    """Whether everybody got a number, each once, without gaps, and all versions are whole."""
    total = 1
    for each in shape:
        total *= each
    numbers = sorted(map(int, _run(task, kind, root, source, *shape, locks=locks)))
    if numbers != list(range(1, total + 1)):
        return False
    registry = FolderRegistry(root)
    verification = registry.verify()
    assert (verification.versions, verification.problems) == (total, ())
    assert registry.numbers("digits") == tuple(range(total, 0, -1))
    assert list((root / ".staging").iterdir()) == []
    return True


@needs_fork
@both
@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
def test_eight_processes_register_at_once(
    kind: type[ModelRegistry], is_sound: bool, locks: bool, tmp_path: Path, source: Path
) -> None:
    """8 processes with 50 registrations each get 1 to 400, each once, also without file locks; a naive one doesn't."""
    assert _race(kind, tmp_path / "home", source, 8, 50, locks=locks) is is_sound


@needs_fork
def test_eight_processes_with_eight_threads(tmp_path: Path, source: Path) -> None:
    """8 processes with 8 threads each, 5 registrations a thread, get 1 to 320, each once."""
    assert _race(FolderRegistry, tmp_path / "home", source, 8, 8, 5, task="threads", locks=True)


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
def test_sixteen_processes_register_at_once(locks: bool, tmp_path: Path, source: Path) -> None:
    """16 processes with 100 registrations each get 1 to 1600, each once, also without file locks."""
    assert _race(FolderRegistry, tmp_path / "home", source, 16, 100, locks=locks)


def _unusable(registry: ModelRegistry, root: Path, into: Path) -> list[int]:
    """The numbers that are there but can't be had as they were registered."""
    numbers = [int(path.name) for path in root.rglob("*") if path.is_dir() and path.name.isdecimal()]
    return [number for number in numbers if not _is_whole(registry, number, into / str(number))]


def _is_whole(registry: ModelRegistry, number: int, into: Path) -> bool:
    try:
        model = registry.get("digits", number)
        copy = registry.download(model, into)
        return len(model.files) == 2 and all(file_info(copy / file) == info for file, info in model.files.items())
    except (MnistkitError, OSError):
        return False


def _kill(kind: type[FolderRegistry | NaiveRegistry], kills: int, folder: Path, source: Path) -> bool:
    """Whether what is left after some kills is whole; for the sound registry also that nothing was lost."""
    root = folder / "home"
    acknowledged = set(map(int, _run("kill", kind, root, source, kills)))
    assert len(acknowledged) >= kills / 2
    registry = kind(root)
    is_whole = _unusable(registry, root, folder / "copies") == []
    if kind is FolderRegistry:
        listed = registry.numbers("digits")
        assert acknowledged <= set(listed)
        assert listed == tuple(range(len(listed), 0, -1))
        assert registry.register("digits", source, format="files").version == len(listed) + 1
    return is_whole


@needs_fork
@both
def test_killed_processes_leave_whole_versions(
    kind: type[FolderRegistry | NaiveRegistry], is_sound: bool, tmp_path: Path, source: Path
) -> None:
    """After 40 kills each listed version is whole, each acknowledged one is listed; a naive registry has torn ones."""
    assert _kill(kind, 40, tmp_path, source) is is_sound


@needs_fork
@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path, source: Path) -> None:
    """After 200 kills each listed version is whole, each acknowledged one is listed."""
    assert _kill(FolderRegistry, 200, tmp_path, source)


@needs_fork
@pytest.mark.parametrize("each", [25, pytest.param(100, marks=pytest.mark.slow)])
def test_eight_processes_count(each: int, tmp_path: Path, source: Path) -> None:
    """8 processes add 1 to a counter, each as often, by compare-and-set on an alias: none is lost, none is twice."""
    answers = _run("count", FolderRegistry, tmp_path / "home", source, 8, each)
    history = FolderRegistry(tmp_path / "home").aliases("digits")["counter"]
    assert [entry.reason for entry in history] == [str(number) for number in range(1, 8 * each + 1)]
    assert sorted(map(int, answers)) == list(range(1, 8 * each + 1))


@needs_fork
def test_counting_needs_compare_and_set(tmp_path: Path, source: Path) -> None:
    """With a naive registry the same processes count some numbers twice."""
    answers = _run("count", NaiveRegistry, tmp_path / "home", source, 8, 25)
    assert sorted(map(int, answers)) != list(range(1, 201))


@needs_fork
@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_registering_deleting_and_looking_at_once(seconds: int, tmp_path: Path, source: Path) -> None:
    """While 4 processes register and 2 delete, those and 2 that list and verify never meet an error."""
    answers = _run("mix", FolderRegistry, tmp_path / "home", source, seconds)
    assert [answer for answer in answers if not answer.startswith("done ")] == []
    assert min(int(answer.split()[1]) for answer in answers) > 1
    registry = FolderRegistry(tmp_path / "home")
    assert registry.verify().problems == ()
    numbers = registry.numbers("digits")
    assert registry.register("digits", source, format="files").version > max(numbers, default=0)


@needs_fork
@pytest.mark.parametrize("reads", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_version_is_there_or_not(reads: int, tmp_path: Path, source: Path) -> None:
    """Whoever asks for a number while it is published gets all of it, or that it isn't there."""
    answers = _run("watch", FolderRegistry, tmp_path / "home", source, reads)
    assert answers == [f"{number} 2" for number in range(1, len(answers) + 1)]
    assert answers


def test_clocks_that_jump(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the clock says, the order of versions and assignments is that of their numbers; the last is newest."""
    registry = FolderRegistry(tmp_path / "home")
    for number, years in enumerate((0, -1, 10, -30), start=1):
        monkeypatch.setattr(runs, "datetime", _shifted(timedelta(days=365 * years)))
        assert registry.register("digits", source, format="files").version == number
        registry.assign("digits", "champion", number)
    models = registry.versions("digits")
    assert [model.version for model in models] == [4, 3, 2, 1]
    assert max(models, key=lambda model: model.created_at).version == 3
    assert registry.get("digits").version == 4
    assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2, 3, 4]


def _shifted(by: timedelta) -> type[datetime]:
    class Shifted(datetime):
        """A clock that is wrong."""

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # only UTC is asked for
            return datetime.now(timezone.utc) + by

    return Shifted
