"""``mnistkit models``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.files import file_info
from mnistkit.promotion import promote
from mnistkit.trainer import Trainer

Program = Callable[..., Any]


@pytest.fixture
def two(trained: Trainer) -> Trainer:
    """A registry with versions 1 and 2 of ``sklearn_mnist``."""
    trained.register(trained.runs()[0], "sklearn_mnist", tags={"n": "2"}, description="the second")
    return trained


def test_no_models_is_no_error(mnistkit: Program) -> None:
    """Without models the list is empty, and a note says how to make one."""
    outcome = mnistkit("models", "list")
    assert (outcome.out, mnistkit("models", "list", "--json").json) == ("", [])
    assert "mnistkit train" in outcome.err


def test_the_list_has_a_row_per_version(mnistkit: Program, two: Trainer) -> None:
    """The list shows all versions, newest first, with their aliases."""
    promote(two.models, "sklearn_mnist:1", "champion")
    rows = mnistkit("models", "list").out.splitlines()[1:]
    assert [row.split()[:2] for row in rows] == [["sklearn_mnist:2", "-"], ["sklearn_mnist:1", "champion"]]
    found = mnistkit("models", "list", "--json").json
    assert [(each["id"], each["aliases"]) for each in found] == [
        ("sklearn_mnist:2", []),
        ("sklearn_mnist:1", ["champion"]),
    ]


def test_show_has_what_is_known_of_a_version(mnistkit: Program, two: Trainer) -> None:
    """Show prints description, tags, metrics, run and each file with its sha256; JSON has the same."""
    model = two.models.get("sklearn_mnist", 2)
    out = mnistkit("models", "show", "sklearn_mnist").out
    for expected in ("sklearn_mnist:2", "the second", "n=2", str(model.run_id), model.files["model.skops"].sha256):
        assert expected in out
    found = mnistkit("models", "show", "sklearn_mnist", "--json").json
    assert found["files"]["model.skops"]["sha256"] == model.files["model.skops"].sha256
    assert found["metrics"] == dict(model.metrics)


@pytest.mark.parametrize(
    ("ref", "code", "expected"),
    [
        ("nope", 1, "Its models: sklearn_mnist"),
        ("sklearn_mnist:9", 1, "versions there are: 1"),
        ("sklearn_mnist@nope", 1, "no alias 'nope'"),
        ("a/b", 2, "use 1 to 64 ASCII letters"),
        ("sklearn_mnist:x", 2, "write NAME, NAME:3 or NAME@ALIAS"),
    ],
)
def test_a_reference_to_nothing_says_what_there_is(
    mnistkit: Program, trained: Trainer, ref: str, code: int, expected: str
) -> None:
    """A model, version or alias that isn't there lists those that are; one that can't be states the rule."""
    assert expected in mnistkit("models", "show", ref, code=code).err


def test_register_publishes_a_runs_model(mnistkit: Program, trained: Trainer) -> None:
    """Register makes the next version of the name, with tags and description, and prints name, id and version."""
    out = mnistkit("models", "register", "latest", "other", "--tag", "a=b", "--description", "mine").out
    assert out == "other\tother:1\t1\n"
    model = trained.models.get("other")
    assert (model.tags, model.description) == ({"purpose": "test", "a": "b"}, "mine")
    assert model.run_id == trained.runs()[0].id


def test_a_failed_run_is_not_registered(mnistkit: Program, failed_run: str) -> None:
    """Registering a run that failed says its state and its error; nothing is registered."""
    err = mnistkit("models", "register", failed_run, "name", code=1).err
    assert "is Failed: ValueError" in err
    assert mnistkit("models", "list", "--json").json == []


def test_a_name_with_a_slash_states_the_rule(mnistkit: Program, trained: Trainer) -> None:
    """A model name with a slash is refused with the rule; the exit code is 2."""
    assert "use 1 to 64 ASCII letters" in mnistkit("models", "register", "latest", "a/b", code=2).err


def test_promote_and_roll_back_with_history(mnistkit: Program, two: Trainer) -> None:
    """An alias moves forth and back; its history has each step with its reason."""
    assert (
        mnistkit("models", "promote", "sklearn_mnist:1", "champion").out
        == "sklearn_mnist@champion\tsklearn_mnist:1\t1\n"
    )
    mnistkit("models", "promote", "sklearn_mnist:2", "champion", "--reason", "better")
    out = mnistkit("models", "rollback", "sklearn_mnist", "champion", "--reason", "worse").out
    assert out == "sklearn_mnist@champion\tsklearn_mnist:1\t1\n"
    history = mnistkit("models", "history", "sklearn_mnist", "champion", "--json").json
    assert [(each["version"], each["reason"]) for each in history] == [(1, ""), (2, "better"), (1, "worse")]
    rows = mnistkit("models", "history", "sklearn_mnist").out.splitlines()
    assert len(rows) == 4
    assert rows[-1].endswith("worse")


def test_the_history_of_nothing_is_explained(mnistkit: Program, trained: Trainer) -> None:
    """An alias or model without history is named; a model without aliases is no error."""
    assert "'nope'" in mnistkit("models", "history", "nope", code=1).err
    assert "its aliases: none yet" in mnistkit("models", "history", "sklearn_mnist", "x", code=1).err
    assert mnistkit("models", "history", "sklearn_mnist", "--json").json == []
    assert "no aliases yet" in mnistkit("models", "history", "sklearn_mnist").err


def test_download_copies_the_files(mnistkit: Program, trained: Trainer) -> None:
    """Download prints where each file is; they are the registered ones."""
    out = mnistkit("models", "download", "sklearn_mnist:1", "--into", "got").out
    assert out == f"{Path('got/model.skops')}\n"
    assert file_info(Path("got/model.skops")) == trained.models.get("sklearn_mnist").files["model.skops"]


def test_verify_passes_what_is_whole(mnistkit: Program, two: Trainer) -> None:
    """Untouched models verify with exit code 0, all of them or one."""
    assert mnistkit("models", "verify").out == "sklearn_mnist:1\tok\nsklearn_mnist:2\tok\n"
    assert mnistkit("models", "verify", "sklearn_mnist:2").out == "sklearn_mnist:2\tok\n"


@pytest.mark.parametrize("file", ["model.skops", "manifest.json"])
def test_verify_finds_an_altered_file(mnistkit: Program, two: Trainer, file: str) -> None:
    """A version with an altered file or manifest is named with what is wrong; the exit code is 1."""
    damaged = Path(two.models.get("sklearn_mnist", 2).location, file)
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    found = mnistkit("models", "verify", "--json", code=1).json
    assert [(each["model"], each["ok"]) for each in found] == [("sklearn_mnist:1", True), ("sklearn_mnist:2", False)]
    assert file in found[1]["problem"]
    assert file in mnistkit("models", "verify", "sklearn_mnist:2", code=1).out


def test_verify_goes_past_deleted_versions(mnistkit: Program, two: Trainer) -> None:
    """A deleted version isn't off, and doesn't hide the ones after it."""
    two.models.delete("sklearn_mnist", 1)
    assert mnistkit("models", "verify").out == "sklearn_mnist:2\tok\n"


def test_delete_takes_one_version(mnistkit: Program, two: Trainer) -> None:
    """Delete removes the version that is named, and its number is never used again."""
    mnistkit("models", "delete", "sklearn_mnist:2", "--yes")
    assert [each["version"] for each in mnistkit("models", "list", "--json").json] == [1]
    assert mnistkit("models", "register", "latest", "sklearn_mnist").out.endswith("\t3\n")


@pytest.mark.parametrize("ref", ["sklearn_mnist", "sklearn_mnist@champion"])
def test_delete_wants_a_version(mnistkit: Program, trained: Trainer, ref: str) -> None:
    """Delete takes neither the newest nor an alias: the version has to be named."""
    assert "names no version" in mnistkit("models", "delete", ref, "--yes", code=2).err
    assert len(trained.models.versions("sklearn_mnist")) == 1


def test_delete_wants_agreement(mnistkit: Program, trained: Trainer) -> None:
    """Where nobody can be asked, delete needs --yes."""
    assert "add --yes" in mnistkit("models", "delete", "sklearn_mnist:1", code=2).err
    assert len(trained.models.versions("sklearn_mnist")) == 1


def test_delete_keeps_what_an_alias_points_to(mnistkit: Program, trained: Trainer) -> None:
    """A version that an alias points to is kept, and the alias is named."""
    promote(trained.models, "sklearn_mnist:1", "champion")
    assert "champion" in mnistkit("models", "delete", "sklearn_mnist:1", "--yes", code=2).err
    assert len(trained.models.versions("sklearn_mnist")) == 1
