"""The program as a whole: help, versions, exit codes, pipes."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.registry.info import ModelInfo
from mnistkit.runs.record import RunState
from mnistkit.trainer import Trainer

Program = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]

VERBS = {
    (): ["data", "train", "run", "sweep", "runs", "models", "predict", "serve", "doctor"],
    ("data",): ["list", "fetch", "info", "show"],
    ("runs",): ["list", "show", "logs", "tag", "note", "cancel", "download", "delete"],
    ("models",): [
        "list",
        "show",
        "register",
        "promote",
        "history",
        "rollback",
        "download",
        "verify",
        "package",
        "delete",
    ],
}


@pytest.mark.parametrize("group", VERBS)
def test_help_lists_the_verbs(mnistkit: Program, group: tuple[str, ...]) -> None:
    """The help of the program and of each noun lists its verbs."""
    out = mnistkit(*group, "--help").out
    for verb in VERBS[group]:
        assert f"  {verb} " in out


@pytest.mark.parametrize(
    "command", [(*group, verb) for group, verbs in VERBS.items() for verb in verbs if (verb,) not in VERBS]
)
def test_every_command_has_an_example(mnistkit: Program, command: tuple[str, ...]) -> None:
    """Each command's help, also by -h, explains it and ends with an example of that very command."""
    out = mnistkit(*command, "-h").out
    assert "Examples:" in out
    assert f"  mnistkit {' '.join(command)}" in out.partition("Examples:")[2]


def test_help_documents_the_exit_codes(mnistkit: Program) -> None:
    """The program's help says what its exit codes mean."""
    out = mnistkit("--help").out
    for code in ("0 done", "1 it failed", "2 the command line", "130 interrupted"):
        assert code in " ".join(out.split())


def test_version(mnistkit: Program) -> None:
    """--version prints the version of the package and nothing else."""
    import mnistkit as package

    assert mnistkit("--version").out == f"mnistkit {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("train", "--bogus"), ("bogus",), ("train", "--solver", "bogus"), ("train", "--limit", "0")]
)
def test_wrong_usage_exits_with_2(mnistkit: Program, arguments: tuple[str, ...]) -> None:
    """An option, command or value that doesn't exist is named on standard error; the exit code is 2."""
    outcome = mnistkit(*arguments, code=2)
    assert next(argument for argument in reversed(arguments) if not argument.isdigit()) in outcome.err
    assert outcome.out == ""


def test_an_unknown_choice_lists_the_valid_ones(mnistkit: Program) -> None:
    """A solver that doesn't exist is answered with those that do."""
    err = mnistkit("train", "--solver", "bogus", code=2).err
    for solver in ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"):
        assert solver in err


def test_help_imports_nothing_heavy() -> None:
    """Importing the program, with all its commands, loads neither numpy nor scikit-learn nor Pillow."""
    code = "import sys, mnistkit.cli.app; print({'numpy', 'sklearn', 'PIL', 'scipy'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("moment", ["mnistkit.cli.app", "mnistkit.runs.table"])
def test_interrupting_it_while_it_starts(moment: str) -> None:
    """Ctrl-C while anything is imported ends the program with one line and exit code 130, also before a command."""
    code = f"""if True:
        import sys

        class Interrupts:
            def find_spec(self, name, path=None, target=None):
                if name == {moment!r}:
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupts())
        sys.argv[1:] = ["runs", "list"]
        import mnistkit.cli
        mnistkit.cli.main()
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Interrupted: stopped.\n")


def test_interrupting_the_start_of_a_command() -> None:
    """Ctrl-C while the commands are put together, before there is one, is no traceback either."""
    code = "import sys, mnistkit.cli, mnistkit.cli.app as module\n"
    code += "def app(**_): raise KeyboardInterrupt\n"
    code += "module.app = app; mnistkit.cli.main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Interrupted: stopped.\n")


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), (KeyboardInterrupt, 130)])
def test_what_is_no_agreement(
    mnistkit: Program, monkeypatch: pytest.MonkeyPatch, answer: str | type[BaseException], code: int
) -> None:
    """Who says no to a question ends the command with 1, who interrupts it with 130; nothing is deleted."""
    from mnistkit.trainer import Trainer

    folder = Path("model")
    folder.mkdir()
    (folder / "any").touch()
    models = Trainer.local("digits").models
    models.register("digits", folder, ModelInfo(format="files"))

    class Person(io.StringIO):
        def isatty(self) -> bool:
            return True

        def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
            if isinstance(answer, str):
                return answer
            raise answer

    monkeypatch.setattr(sys, "stdin", Person())
    mnistkit("models", "delete", "digits:1", code=code)
    assert models.get("digits").version == 1


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(package: str) -> None:
    """Without typer or rich the program names the extra, without a traceback, and exits with 1."""
    code = f"import sys; sys.modules[{package!r}] = None; from mnistkit.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "python -m pip install 'mnistkit[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_closed_pipe_is_no_error(start: Start, trained: object) -> None:
    """A reader that has had enough, like head, makes no noise and no failure."""
    process = start("models", "list", "--json", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 0


def test_an_unexpected_error_is_one_line(mnistkit: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is called a bug, in one line that says how to see the traceback, and exits with 1."""
    monkeypatch.setattr("mnistkit.config.find_config", _broken)
    monkeypatch.setattr("mnistkit.trainer.trainer.find_config", _broken)
    err = mnistkit("runs", "list", code=1).err
    assert (
        err
        == "Error: This is a bug in mnistkit: ZeroDivisionError: oops. Run 'mnistkit --debug runs list' to see where.\n"
    )


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --debug the traceback of any error is printed; the exit code is the same."""
    from mnistkit.cli import main

    monkeypatch.setattr(sys, "argv", ["mnistkit", "--debug", "train", "--data", "bogus"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "UnknownNameError" in err


def test_a_broken_configuration_names_file_line_and_key(mnistkit: Program) -> None:
    """An unknown key in mnistkit.toml is answered with its place and the valid keys; the exit code is 2."""
    Path("mnistkit.toml").write_text('data = "digits"\nbogus = 1\n', encoding="utf-8")
    err = mnistkit("train", code=2).err
    assert "mnistkit.toml, line 2" in err
    assert "'bogus'" in err
    assert "experiment" in err


def test_quiet_leaves_only_the_data(mnistkit: Program) -> None:
    """With --quiet nothing but errors comes on standard error."""
    assert mnistkit("--quiet", "data", "info", "digits").err == ""


def _broken() -> None:
    raise ZeroDivisionError("oops")


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is POSIX")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure(closed: str) -> None:
    """With standard streams closed it trains as ever: their numbers aren't given to files that it opens."""
    program = [sys.executable, "-m", "mnistkit", "train", "--data", "digits", "--no-register", "--tol", "0.1"]
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *program], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = Trainer.local(data="digits").runs()
    assert run.state is RunState.COMPLETED
    assert ("accuracy" in done.stderr.decode()) == ("2>" not in closed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("--version",), ("doctor",)])
def test_a_full_disk_is_an_error(start: Start, arguments: tuple[str, ...]) -> None:
    """What can't be written is an error with the system's reason, also before there is a command."""
    with Path("/dev/full").open("w") as full:
        process = start(*arguments, stdout=full)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "Error: No space left on device.\n")


def test_a_verb_without_its_noun_is_answered_with_the_command(mnistkit: Program) -> None:
    """What people try first names the command that there is."""
    assert "No such command 'promote'. Did you mean 'mnistkit models promote'?" in mnistkit("promote", "x", code=2).err
    assert "'mnistkit runs show' or 'mnistkit models show'" in mnistkit("show", code=2).err
