"""No text of anybody's reaches the terminal as it is: data, names, records, errors and tracebacks, also when piped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.test_safe import is_harmless
from mnistkit.cli import main
from mnistkit.data.folders import DigitsSource
from mnistkit.trainer import Trainer

MARK = "PWN"
HOSTILE = f"\x1b]0;{MARK}\x07\x1b[2J\u202e\x9b31m\r\u2066{MARK}\nx\x00\x7f\u2028"
NAME = HOSTILE.replace("\x00", "")
Call = Callable[..., str]


def _poison(path: Path, change: Callable[[Any], Any]) -> None:
    path.chmod(0o644)
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def _texts(value: Any, *keys: str) -> Any:
    """The same, with what is hostile in place of these values."""
    return {**value, **dict.fromkeys(keys, HOSTILE)}


@pytest.fixture
def poisoned(trained: Trainer, tmp_path: Path) -> str:
    """A home with a run, a model and a dataset of which every text is hostile; the run's id."""
    (run,) = trained.runs()
    folder = Path(run.record.url)
    _poison(folder / "record.json", lambda v: {
        **_texts(v, "data", "error", "traceback"), "versions": {HOSTILE: HOSTILE},
        "attempts": [{**v["attempts"][0], "error": HOSTILE, "cause": "error", "signal": HOSTILE}] * 2,
        "transitions": [*v["transitions"][:-1], {**v["transitions"][-1], "state": "Failed"}],
        "provenance": {**_texts(v["provenance"], "commit", "platform"), "command": [HOSTILE]}})  # fmt: skip
    _poison(folder / "job.json", lambda v: {**v, "tags": {HOSTILE: HOSTILE}})
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"name": HOSTILE, "value": 1.0, "step": None, "time": "2026-01-01T00:00:00Z"}) + "\n")
    with (folder / "tags.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"key": HOSTILE, "value": HOSTILE}) + "\n")
    (folder / "outputs" / NAME.replace("/", "")).write_text("x")
    with (folder / "logs" / "std_log.txt").open("ab") as log:
        log.write(HOSTILE.encode() + b"\xff\n")
    trained.models.assign("sklearn_mnist", "champion", 1, reason="it is good")
    model = folder.parents[1] / "models" / "sklearn_mnist"
    _poison(next(model.glob("versions/1/manifest.json")), lambda v: {
        **_texts(v, "description", "run_id"), "tags": {HOSTILE: HOSTILE}, "metrics": {HOSTILE: 1.0},
        "versions": {HOSTILE: HOSTILE},
        "input": {**_texts(v["input"], "dataset"), "class_names": [HOSTILE] * 10}})  # fmt: skip
    _poison(next(model.glob("aliases/champion/*.json")), lambda v: _texts(v, "reason", "by"))
    data = DigitsSource().fetch(tmp_path / "data")
    _poison(data / "dataset.json", lambda v: {**_texts(v, "name", "version"), "class_names": [HOSTILE] * 10})
    return run.id


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the program in this process, and return all that it printed, whether it succeeded or not."""

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mnistkit", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main()
        captured = capsys.readouterr()
        return captured.out + captured.err

    return call


def _check(shown: str, arguments: object) -> None:
    strange = {character for character in shown if not is_harmless(character)}
    assert not strange, (arguments, strange, shown[:2000])
    assert "bug in mnistkit" not in shown, (arguments, shown)


COMMANDS: dict[str, tuple[bool, tuple[str, ...]]] = {
    "list of runs": (False, ("runs", "list", "--all")),
    "list of runs as JSON": (True, ("runs", "list", "--json")),
    "run": (True, ("runs", "show", "RUN")),
    "run as JSON": (True, ("runs", "show", "RUN", "--json")),
    "log": (True, ("runs", "logs", "RUN")),
    "followed log": (True, ("runs", "logs", "RUN", "-f")),
    "wait": (True, ("runs", "wait", "RUN")),
    "cancellation": (False, ("runs", "cancel", "RUN")),
    "deletion": (False, ("runs", "delete", "RUN", "--yes")),
    "download": (True, ("runs", "download", "RUN", "--into", "into")),
    "prune": (False, ("runs", "prune", "--keep", "0", "--dry-run")),
    "report": (False, ("runs", "report", "RUN")),
    "register": (True, ("models", "register", "RUN", "another")),
    "list of models": (False, ("models", "list")),
    "model": (True, ("models", "show", "sklearn_mnist:1")),
    "model as JSON": (True, ("models", "show", "sklearn_mnist:1", "--json")),
    "history": (True, ("models", "history", "sklearn_mnist")),
    "comparison of models": (False, ("models", "compare", "sklearn_mnist:1", "sklearn_mnist@champion")),
    "verification": (False, ("models", "verify")),
    "rollback": (False, ("models", "rollback", "sklearn_mnist@champion")),
    "prediction": (False, ("predict", "--data", "DATA", "--index", "0", "--model", "sklearn_mnist")),
    "dataset": (True, ("data", "info", "DATA")),
    "dataset as JSON": (True, ("data", "info", "DATA", "--json")),
    "images": (True, ("data", "show", "DATA")),
    "training": (True, ("train", "--data", "DATA", "--solver", "liblinear")),
    "a name that isn't there": (False, ("runs", "show", NAME)),
    "an alias that isn't there": (False, ("models", "show", f"sklearn_mnist@{NAME}")),
    "a dataset that isn't there": (False, ("data", "info", f"idx:{NAME}")),
    "a model file that isn't there": (False, ("runs", "download", "RUN", NAME)),
    "a traceback": (True, ("--debug", "runs", "wait", "RUN")),
    "the setup": (False, ("doctor",)),
}


@pytest.mark.skipif(sys.platform == "win32", reason="its files can't have such names")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_control_characters(call: Call, poisoned: str, tmp_path: Path, command: str) -> None:
    """Piped, whatever the command; and what is hostile is shown, written out, where it is asked for."""
    is_shown, pattern = COMMANDS[command]
    places = {"RUN": poisoned, "DATA": f"idx:{tmp_path / 'data'}"}
    shown = call(*(places.get(each, each) for each in pattern))
    _check(shown, pattern)
    assert not is_shown or MARK in shown, shown
