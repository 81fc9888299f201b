"""What makes the program pleasant in a shell: completion, quietness, tails of logs, whole help, plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from mnistkit.cli import completion
from mnistkit.jobs.job import ScriptJob
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


@pytest.fixture(autouse=True)
def _loud_again() -> Any:
    """A completion silences the log of its process, which ends with it; not so here."""
    import logging

    yield
    logging.disable(logging.NOTSET)


def test_names_are_completed(trained: Trainer) -> None:
    """Ids of runs, experiments, data, models and aliases that begin so are offered, with what they are."""
    (run,) = trained.runs()
    trained.models.assign("sklearn_mnist", "champion", 1, reason="")
    assert completion.complete_run(run.id[:8]) == [(run.id, "Completed LogisticRegression on digits")]
    assert completion.complete_run("la") == [("latest", "the newest run")]
    assert completion.complete_experiment("sk") == [("sklearn-mnist", "1 runs")]
    assert [text for text, _ in completion.complete_data("d")] == ["digits"]
    assert "fashion-mnist" in dict(completion.complete_data(""))
    assert completion.complete_name("") == [("sklearn_mnist", "model")]
    assert [text for text, _ in completion.complete_model("sklearn_mnist")] == [
        "sklearn_mnist", "sklearn_mnist@champion", "sklearn_mnist:1",
    ]  # fmt: skip
    assert [text for text, _ in completion.complete_alias("c")] == ["champion"]


def test_a_shell_gets_the_completions(mnistkit: Program, trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program prints the completions where a shell calls for them."""
    (run,) = trained.runs()
    monkeypatch.setenv("_MNISTKIT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"mnistkit runs show {run.id[:10]}")
    monkeypatch.setenv("COMP_CWORD", "3")
    assert mnistkit().out.strip() == run.id


def test_what_fails_completes_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A configuration that can't be read prints nothing into the line that is being typed."""
    monkeypatch.setenv("MNISTKIT_COMPUTE", "nowhere")
    assert completion.complete_run("x") == []
    assert completion.complete_run("") == [("latest", "the newest run")]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["$(touch x)", "a`b`", "a b", "a\nb", "x\x1b[2J", "a;b", "'", "<b>"])
def test_a_name_that_a_shell_would_run_is_not_offered(name: str) -> None:
    """What means something to a shell isn't completed."""
    assert completion._matching(lambda: [(name, "about"), ("good", "a\x1bb")], "") == [("good", "a?b")]


@pytest.mark.parametrize("arguments", [("runs", "list", "-q"), ("-q", "runs", "list"), ("runs", "list", "--quiet")])
def test_quiet_may_come_after_the_verb(mnistkit: Program, arguments: tuple[str, ...]) -> None:
    """Notes are left out, wherever -q stands."""
    assert mnistkit("runs", "list").err != ""
    assert mnistkit(*arguments).err == ""
    assert mnistkit("runs", "list").err != ""


@pytest.mark.parametrize(("n", "expected"), [(2, "four\nfive\n"), (0, ""), (99, "one\ntwo\nthree\nfour\nfive\n")])
@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_the_tail_of_a_log(mnistkit: Program, tmp_path: Any, n: int, expected: str, follow: tuple[str, ...]) -> None:
    """--tail prints the last lines, and what follows them."""
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "train.py").write_text("print('one\\ntwo\\nthree\\nfour\\nfive')")
    Trainer.local(data="digits").submit(ScriptJob(tmp_path / "script")).wait()
    assert mnistkit("runs", "logs", "latest", "--tail", n, *follow).out == expected


@pytest.mark.parametrize("group", [(), ("runs",), ("models",), ("data",), ("emulator",), ("deployments",)])
def test_help_is_not_cut(mnistkit: Program, group: tuple[str, ...]) -> None:
    """The list of commands has the whole first sentence of each."""
    assert "..." not in mnistkit(*group, "--help").out.partition("Commands:")[2].partition("Examples:")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--limit", "abc"), "'--limit'"),
        (("train", "--limit", "0"), "1"),
        (("train", "--seed", "-1"), "0"),
        (("models", "list", "--min", "x"), "'--min'"),
        (("train", "--solver", "bogus"), "'lbfgs'"),
    ],
)
def test_libraries_below_are_not_quoted(mnistkit: Program, arguments: tuple[str, ...], message: str) -> None:
    """A wrong value is explained in plain words, whichever library reads the options."""
    err = mnistkit(*arguments, code=2).err
    assert message in err
    assert not re.search(r"pydantic|Input should|unable to parse|Value error|typer|click", err)


def test_numbers_have_four_digits(mnistkit: Program, trained: Trainer) -> None:
    """Lists and facts show four significant digits; JSON has the whole figure."""
    (run,) = trained.runs()
    accuracy = run.metrics["accuracy"]
    assert f"  {accuracy:.4g}  " in mnistkit("runs", "list").out
    assert f"{accuracy:.4g}\n" in mnistkit("runs", "show", "latest").out
    assert mnistkit("runs", "show", "latest", "--json").json["metrics"]["accuracy"] == accuracy
