"""What training code writes to."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from mnistkit.errors import DataFormatError, InvalidNameError, UsageError
from mnistkit.runs.context import (
    CANCEL_FILE,
    RUN_FOLDER_VARIABLE,
    ConsoleContext,
    FolderContext,
    RunContext,
    get_context,
    read_points,
    read_tags,
    using_context,
)


@pytest.fixture(params=[FolderContext, ConsoleContext])
def context(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunContext:
    """Each kind of context, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return FolderContext(tmp_path) if request.param is FolderContext else ConsoleContext()


def test_every_context_has_the_whole_surface(context: RunContext, tmp_path: Path) -> None:
    """Code that runs inside a run also runs outside of one: same methods, same files in ``outputs``."""
    context.log("accuracy", np.float32(0.5))
    context.log("loss", 1, step=3)
    context.tag("colour", "grey")
    matrix = context.log_confusion_matrix("confusion", np.eye(2, dtype=int), ["a", "b"])
    assert json.loads(matrix.read_text()) == {"labels": ["a", "b"], "matrix": [[1, 0], [0, 1]]}
    assert context.should_stop is False
    assert context.outputs == matrix.parent
    assert context.outputs.resolve() == (tmp_path / "outputs").resolve()


def test_pictures_are_kept(context: RunContext) -> None:
    """An array becomes a PNG in ``outputs``."""
    image = pytest.importorskip("PIL.Image")
    path = context.log_image("first", np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert path.name == "first.png"
    np.testing.assert_array_equal(np.asarray(image.open(path)), np.arange(64).reshape(8, 8))


def test_shares_of_a_confusion_matrix_are_kept(context: RunContext) -> None:
    """A normalized matrix is written as it is, numbers of numpy too; whole numbers are written as such."""
    from sklearn.metrics import confusion_matrix

    truth, predicted = [0, 0, 0, 0, 1], [0, 0, 0, 1, 1]
    for normalize, expected in (("true", [[0.75, 0.25], [0, 1]]), (None, [[3, 1], [0, 1]])):
        path = context.log_confusion_matrix("m", confusion_matrix(truth, predicted, normalize=normalize), ["a", "b"])
        assert json.loads(path.read_text())["matrix"] == expected
    assert "[3, 1]" in path.read_text()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, "x", None, [1]])
def test_what_is_no_count_is_refused(context: RunContext, value: object) -> None:
    """NaN, as of a class without images, infinity, negative numbers and what is no number are errors."""
    with pytest.raises(UsageError, match="neither a count nor a share"):
        context.log_confusion_matrix("m", [[value]], ["a"])


def test_bad_values_are_refused(context: RunContext) -> None:
    """A metric that is no number, a matrix that doesn't fit and a name that climbs out are errors."""
    with pytest.raises(UsageError, match="single number"):
        context.log("accuracy", [1, 2])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="2 labels"):
        context.log_confusion_matrix("confusion", np.eye(3), ["a", "b"])
    with pytest.raises(InvalidNameError):
        context.log_confusion_matrix("../confusion", np.eye(1), ["a"])


def test_the_console_says_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Outside a run, metrics and tags appear on standard output."""
    ConsoleContext().log("accuracy", 0.9204)
    ConsoleContext().log("loss", 0.5, step=2)
    ConsoleContext().tag("colour", "grey")
    assert capsys.readouterr().out == "accuracy = 0.9204\nloss = 0.5 (step 2)\ncolour: grey\n"


def test_metrics_are_read_back_in_order(tmp_path: Path) -> None:
    """Values, also NaN and infinity, and steps come back as they were logged."""
    context = FolderContext(tmp_path)
    context.log("loss", 0.5, step=0)
    context.log("loss", math.inf, step=1)
    context.log("ä", math.nan)
    points = read_points(tmp_path)
    assert [(p.name, p.step) for p in points] == [("loss", 0), ("loss", 1), ("ä", None)]
    assert points[1].value == math.inf
    assert math.isnan(points[2].value)
    assert json.loads((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])["value"] == 0.5


def test_a_torn_file_gives_what_is_whole(tmp_path: Path) -> None:
    """Cut at any byte, the metrics before the cut are read, and nothing raises."""
    context = FolderContext(tmp_path)
    for step in range(5):
        context.log("loss", step, step=step)
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        lines = whole[:cut].count(b"\n")
        assert [p.value for p in read_points(tmp_path)][:lines] == list(range(lines))
    path.write_bytes(b'\xff\n[]\n{"name": 1}\n{"name":"x","value":"y","step":null,"time":"z"}\n' + whole)
    assert len(read_points(tmp_path)) == 5


def test_the_last_tag_holds(tmp_path: Path) -> None:
    """A tag that is set twice has its last value; a folder without tags has none."""
    assert read_tags(tmp_path) == {}
    FolderContext(tmp_path).tag("a", "1")
    FolderContext(tmp_path).tag("a", "2")
    assert read_tags(tmp_path) == {"a": "2"}


def test_which_context_is_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The innermost context counts, then the run's folder from the environment, then the console."""
    assert isinstance(get_context(), ConsoleContext)
    monkeypatch.setenv(RUN_FOLDER_VARIABLE, str(tmp_path))
    get_context().log("accuracy", 1)
    assert len(read_points(tmp_path)) == 1
    mine = FolderContext(tmp_path / "mine")
    with using_context(mine):
        assert get_context() is mine
    assert get_context() is not mine


def test_a_run_that_was_asked_to_stop_knows(tmp_path: Path) -> None:
    """`should_stop` follows the sign in the run's folder."""
    (tmp_path / CANCEL_FILE).touch()
    assert FolderContext(tmp_path).should_stop is True


def test_metrics_that_cannot_be_read_are_not_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken disk, or too many open files, is an error; a file that isn't there is no metrics."""
    assert (read_points(tmp_path), read_tags(tmp_path)) == ((), {})
    FolderContext(tmp_path).log("accuracy", 0.5)
    FolderContext(tmp_path).tag("colour", "grey")

    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", broken)
    for read in read_points, read_tags:
        with pytest.raises(DataFormatError, match="can't be read"):
            read(tmp_path)
