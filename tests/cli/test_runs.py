"""``mnistkit runs``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.trainer import Trainer

Program = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

DEADLINE = 120


@pytest.fixture
def script_run(tmp_path: Path) -> Callable[[str], Run]:
    """Submit a script of so many lines as a run."""

    def submit(text: str) -> Run:
        folder = tmp_path / "script"
        folder.mkdir()
        (folder / "train.py").write_text(text, encoding="utf-8")
        return Trainer.local(data="digits", experiment="scripts").submit(ScriptJob(folder))

    return submit


@pytest.fixture
def endless_run(script_run: Callable[[str], Run]) -> Iterator[Run]:
    """A run that goes on until it is canceled."""
    run = script_run("import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.1)\n")
    while "begun" not in run.logs():
        assert not run.refresh().state.is_terminal
    yield run
    run.cancel()
    assert run.wait(DEADLINE).state is RunState.CANCELED


@pytest.mark.parametrize("spelling", ["latest", "prefix", "suffix", "id"])
def test_a_run_is_found_by_what_people_type(mnistkit: Program, trained: Trainer, spelling: str) -> None:
    """A whole id, its beginning, its end, and ``latest`` all mean the run."""
    (run,) = trained.runs()
    text = {"latest": "latest", "prefix": run.id[:8], "suffix": run.id[-6:], "id": run.id}[spelling]
    assert mnistkit("runs", "show", text, "--json").json["id"] == run.id


def test_an_unknown_run_lists_recent_ones(mnistkit: Program, trained: Trainer) -> None:
    """An id that no run has is answered with the latest runs; the exit code is 1."""
    (run,) = trained.runs()
    assert (
        f"There is no run 'nope'; the latest are {run.id} (Completed)." in mnistkit("runs", "show", "nope", code=1).err
    )


def test_an_ambiguous_id_lists_its_runs(mnistkit: Program, trained: Trainer, failed_run: str) -> None:
    """A beginning that several runs share is refused with their ids; the exit code is 2."""
    err = mnistkit("runs", "show", "20", code=2).err
    assert failed_run in err
    assert trained.runs()[-1].id in err


def test_show_tells_why_a_run_failed(mnistkit: Program, failed_run: str) -> None:
    """A failed run is shown with its error and its traceback."""
    out = mnistkit("runs", "show", failed_run).out
    assert re.search(r"^Error: +ValueError: ", out, re.MULTILINE)
    assert "\nTraceback:\n" in out
    assert mnistkit("runs", "show", failed_run, "--json").json["state"] == "Failed"


@pytest.mark.parametrize("options", [(), ("--follow",), ("-f",)])
def test_logs_are_printed(mnistkit: Program, trained: Trainer, options: tuple[str, ...]) -> None:
    """The log of an ended run is printed whole, followed or not."""
    (run,) = trained.runs()
    assert mnistkit("runs", "logs", "latest", *options).out == run.logs()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process there")
def test_interrupting_a_follower_leaves_the_run(start: Start, endless_run: Run) -> None:
    """Ctrl-C while following says how to cancel, exits with 130, and the run goes on."""
    process = start("runs", "logs", endless_run.id, "-f")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert f"mnistkit runs cancel {endless_run.id}" in err
    assert endless_run.refresh().state is RunState.RUNNING


def test_cancel_asks_a_run_to_stop(mnistkit: Program, endless_run: Run) -> None:
    """Cancel stops a run that goes on; once it has ended, cancel says so and does nothing."""
    assert mnistkit("runs", "cancel", "latest").out.startswith(f"{endless_run.id}\tCancel")
    assert endless_run.wait(DEADLINE).state is RunState.CANCELED
    assert "had finished already" in mnistkit("runs", "cancel", "latest").err


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_log_cannot_steer_the_terminal(start: Start, script_run: Callable[[str], Run]) -> None:
    """On a terminal control characters of a log, and what looks like markup, are shown, not obeyed."""
    run = script_run("print('a\\x1b[2Jb \\u202e [red]c[/red]\\rd')").wait(DEADLINE)
    assert _on_terminal(start, "runs", "logs", run.id) == "a\\x1b[2Jb \\u202e [red]c[/red]\nd\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_file_name_cannot_steer_the_terminal(start: Start, script_run: Callable[[str], Run]) -> None:
    """On a terminal the names of a run's files are shown with their control characters written out."""
    run = script_run("open('outputs/x\\x1b[2J[bold]', 'w').close()").wait(DEADLINE)
    assert "outputs/x\\x1b[2J[bold]" in _on_terminal(start, "runs", "show", run.id)


def test_a_metrics_name_makes_no_line_of_its_own(mnistkit: Program, script_run: Callable[[str], Run]) -> None:
    """A line break in the name of a metric is written out, and what follows one in a tag is indented."""
    script = "import mnistkit; c = mnistkit.get_context(); c.log('a\\nstate: Failed', 1); c.tag('t', 'x\\ny')"
    shown = mnistkit("runs", "show", script_run(script).wait(DEADLINE).id).out
    assert re.search(r"^  a\\nstate: Failed +1$", shown, re.MULTILINE)
    assert re.search(r"^Tags: +t=x\n +y$", shown, re.MULTILINE)


def test_download_takes_all_files_in_their_folders(mnistkit: Program, trained: Trainer, tmp_path: Path) -> None:
    """Without names all files come, each where it was below the run's folder."""
    (run,) = trained.runs()
    out = mnistkit("runs", "download", "latest", "--into", tmp_path / "got").out
    assert out.splitlines() == [str(tmp_path / "got" / file) for file in run.files]
    for file in run.files:
        assert (tmp_path / "got" / file).read_bytes() == Path(run.record.url, file).read_bytes()


def test_download_takes_one_file_by_its_name(mnistkit: Program, trained: Trainer) -> None:
    """A named file comes into the folder itself; one that isn't there lists those that are."""
    mnistkit("runs", "download", "latest", "outputs/evaluation.json")
    assert Path("evaluation.json").is_file()
    assert "outputs/evaluation.json" in mnistkit("runs", "download", "latest", "nope", code=1).err


def test_delete_removes_a_run(mnistkit: Program, failed_run: str) -> None:
    """With --yes a run disappears with its files."""
    folder = Path(Trainer.local().run(failed_run).record.url)
    mnistkit("runs", "delete", failed_run, "--yes")
    assert not folder.exists()
    assert mnistkit("runs", "list", "--json").json == []


@pytest.mark.parametrize("file", ["record.json", "job.json"])
def test_a_damaged_run_can_be_deleted(mnistkit: Program, failed_run: str, file: str) -> None:
    """The list says of a run that can't be read how to delete it, and that does."""
    folder = Path(Trainer.local().run(failed_run).record.url)
    (folder / file).write_text("{")
    listed = mnistkit("runs", "list", "--json")
    assert listed.json == []
    assert f"mnistkit runs delete {failed_run}" in " ".join(listed.err.split())
    assert "can't be read" in " ".join(mnistkit("runs", "delete", failed_run, code=2).err.split())
    mnistkit("runs", "delete", failed_run, "--yes")
    assert not folder.exists()


def test_delete_wants_agreement(mnistkit: Program, failed_run: str) -> None:
    """Where nobody can be asked, delete needs --yes and exits with 2."""
    assert "add --yes" in mnistkit("runs", "delete", failed_run, code=2).err
    assert len(mnistkit("runs", "list", "--json").json) == 1


def test_delete_keeps_what_a_model_came_from(mnistkit: Program, trained: Trainer) -> None:
    """A run that a registered model names is kept, unless --force; the model stays usable either way."""
    (run,) = trained.runs()
    assert "made sklearn_mnist:1" in mnistkit("runs", "delete", run.id, "--yes", code=1).err
    assert len(trained.runs()) == 1
    mnistkit("runs", "delete", run.id, "--yes", "--force")
    assert not trained.runs()
    assert trained.load("sklearn_mnist").n_features_in_ == 64


def test_delete_refuses_a_run_that_goes_on(mnistkit: Program, endless_run: Run) -> None:
    """A run that hasn't ended isn't deleted."""
    assert endless_run.id in mnistkit("runs", "delete", endless_run.id, "--yes", code=1).err
    assert endless_run.refresh().state is RunState.RUNNING


def _on_terminal(start: Start, *arguments: str) -> str:
    """What the program writes to standard output if that is a terminal."""
    import pty

    ours, theirs = pty.openpty()
    process = start(*arguments, stdout=theirs, env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200"})
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side has closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(DEADLINE) == 0
    return written.decode().replace("\r\n", "\n")


def test_show_tells_where_a_run_came_from(mnistkit: Program) -> None:
    """Show prints command, platform, seed and fingerprint; JSON has all of it; secrets are masked in both."""
    made = mnistkit("train", "--data", "digits", "--tag", "api_token=CANARY", "--json").json["run"]
    record = Trainer.local().run(made["id"]).record
    outcome = mnistkit("runs", "show", "latest")
    found = mnistkit("runs", "show", "latest", "--json").json
    assert found["provenance"]["command"][1:4] == ["train", "--data", "digits"]
    assert found["provenance"]["command"][5] == "api_token=***"
    assert found["provenance"]["seed"] == 42
    assert found["fingerprint"]["whole"] == record.job.fingerprint.digest
    assert re.search(r"\n  command +mnistkit train --data digits --tag 'api_token=\*\*\*' --json\n", outcome.out)
    assert re.search(rf"\n  whole +{record.job.fingerprint.digest[:12]}\n", outcome.out)
