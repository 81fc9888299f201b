"""Run the program: in this process, or as one of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen

from mnistkit.cli import main
from mnistkit.data.idx import write_idx
from mnistkit.trainer import Trainer

PROGRAM = (sys.executable, "-c", "from mnistkit.cli import main; main()")


@frozen
class Outcome:
    """What one call of the program did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Program = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file is above, and what is written by a relative name stays with the test."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def mnistkit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    """Call the program in this process; the exit code must be the expected one."""

    def call(*arguments: object, code: int = 0) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mnistkit", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        outcome = Outcome(ended.value.code or 0, captured.out, captured.err)
        assert outcome.code == code, outcome
        assert "Traceback" not in outcome.err
        return outcome

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program as a process of its own; it is gone when the test ends."""
    processes: list[subprocess.Popen[str]] = []

    def popen(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", **options}
        process = subprocess.Popen([*PROGRAM, *map(str, arguments)], **options)
        processes.append(process)
        return process

    yield popen
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


@pytest.fixture(scope="session")
def _trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        from sklearn.linear_model import LogisticRegression

        trainer = Trainer.local(data="digits", home=home)
        trainer.register(trainer.train(LogisticRegression(C=2.0), tags={"purpose": "test"}), "sklearn_mnist")
    return home


@pytest.fixture
def trained(_trained_home: Path) -> Trainer:
    """A home with one completed run on digits, registered as version 1 of ``sklearn_mnist``."""
    shutil.copytree(_trained_home, os.environ["MNISTKIT_HOME"])
    return Trainer.local(data="digits")


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write images and labels as a dataset whose train and test halves are the same, and return its folder."""

    def write(images: Any, labels: Any) -> Path:
        for part in ("train", "t10k"):
            write_idx(folder / f"{part}-images-idx3-ubyte", images)
            write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
        return folder

    folder = tmp_path / "dataset"
    folder.mkdir()
    return write


@pytest.fixture
def one_class(write_dataset: Callable[..., Path]) -> str:
    """The uri of a dataset with one class only: training on it fails."""
    return f"idx:{write_dataset(np.zeros((20, 4, 4), dtype=np.uint8), np.zeros(20, dtype=np.uint8))}"


@pytest.fixture
def failed_run(one_class: str) -> str:
    """The id of a run that failed."""
    from sklearn.linear_model import LogisticRegression

    trainer = Trainer.local(data=one_class)
    return trainer.submit(trainer.job(LogisticRegression())).wait().id
