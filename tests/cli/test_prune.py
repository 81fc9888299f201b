"""``mnistkit runs prune``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


@pytest.fixture
def three(trained: Trainer) -> tuple[str, str, str]:
    """Three runs: one that a model came from, a failed one, one that goes on."""
    store = RunStore(Path(os.environ["MNISTKIT_HOME"]) / "runs")
    job = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression"), experiment="trials")
    failed, going_on = store.create(job, "digits"), store.create(job, "digits")
    store.advance(failed, RunState.FAILED, error="it failed")
    return trained.runs()[0].id, failed, going_on


def _left(mnistkit: Program) -> set[str]:
    return {run["id"] for run in mnistkit("runs", "list", "--json").json}


def test_a_dry_run_only_says(mnistkit: Program, three: tuple[str, str, str]) -> None:
    """A dry run lists what would go with its size, and what stays and why; nothing is deleted."""
    tied, failed, going_on = three
    outcome = mnistkit("runs", "prune", "--keep", "0", "--dry-run")
    rows = {row.split()[0]: row for row in outcome.out.splitlines()[1:]}
    assert rows[failed].split()[1:4] == ["delete", "0.0", "MB"]
    assert rows[tied].endswith("sklearn_mnist:1 came from it")
    assert rows[going_on].endswith("it is Queued")
    assert outcome.err == "Would delete 1 run (0.0 MB) and keep 2.\n"
    assert _left(mnistkit) == set(three)


def test_prune_deletes_what_it_says(mnistkit: Program, three: tuple[str, str, str]) -> None:
    """With --yes the run that nothing keeps goes, and the model stays usable; then there is nothing left to do."""
    tied, _, going_on = three
    assert mnistkit("runs", "prune", "--older-than", "0h", "--yes").err == "Deleted 1 run.\n"
    assert _left(mnistkit) == {tied, going_on}
    assert Trainer.local(data="digits").load("sklearn_mnist").n_features_in_ == 64
    assert mnistkit("runs", "prune", "--keep", "0").err == "There is nothing to delete.\n"


@pytest.mark.parametrize("rule", [("--keep", "2"), ("--older-than", "1h"), ("--keep", "0", "--experiment", "other")])
def test_the_rules_keep_runs(mnistkit: Program, three: tuple[str, str, str], rule: tuple[str, ...]) -> None:
    """The newest, those of late, and those of other experiments stay."""
    assert mnistkit("runs", "prune", *rule, "--yes").err.endswith("There is nothing to delete.\n")
    assert _left(mnistkit) == set(three)


def test_json_has_both_lists(mnistkit: Program, three: tuple[str, str, str]) -> None:
    """JSON names what goes, with its size in bytes, and what stays, with the reason; and whether it was done."""
    tied, failed, going_on = three
    for options, is_done in ((("--dry-run",), False), (("--yes",), True)):
        found = mnistkit("runs", "prune", "--keep", "0", "--json", *options).json
        assert found["deleted"] == is_done
        assert [each["id"] for each in found["delete"]] == [failed]
        assert found["delete"][0]["size"] > 100
        assert {each["id"]: each["reason"] for each in found["keep"]} == {
            tied: "sklearn_mnist:1 came from it",
            going_on: "it is Queued",
        }
    assert _left(mnistkit) == {tied, going_on}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "newest N with --keep"),
        (("--keep", "0"), "add --yes"),
        (("--older-than", "30"), "12h, 30d or 2w"),
        (("--keep", "-1"), "--keep"),
    ],
)
def test_prune_wants_a_rule_and_agreement(
    mnistkit: Program, three: tuple[str, str, str], arguments: tuple[str, ...], expected: str
) -> None:
    """Without a rule, without agreement, or with a rule that can't be right nothing is deleted; the exit code is 2."""
    assert expected in mnistkit("runs", "prune", *arguments, code=2).err
    assert _left(mnistkit) == set(three)


def test_what_could_not_be_deleted_is_said(
    mnistkit: Program, three: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that the system won't remove is named with the reason; the exit code is 1."""

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "rename", refuse)
    err = mnistkit("runs", "prune", "--keep", "0", "--yes", code=1).err
    assert f"Run {three[1]} is kept: it can't be deleted: Can't delete run {three[1]}" in err
    assert "Permission denied" in err
    assert _left(mnistkit) == set(three)


def test_an_unreadable_model_stops_it(mnistkit: Program, three: tuple[str, str, str], trained: Trainer) -> None:
    """If a registered version can't be read nothing is deleted: its run might be among those; the exit code is 1."""
    manifest = Path(trained.models.get("sklearn_mnist").location, "manifest.json")
    manifest.chmod(0o644)
    manifest.write_bytes(b"")
    assert "sklearn_mnist:1" in mnistkit("runs", "prune", "--keep", "0", "--yes", code=1).err
    assert _left(mnistkit) == set(three)
