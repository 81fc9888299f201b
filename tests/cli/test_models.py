"""``mnistkit models``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistkit.registry.promotion import promote
from mnistkit.trainer import Trainer
from mnistkit.utils.files import file_info

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


def test_promote_if_better_says_what_holds_now(mnistkit: Program, two: Trainer) -> None:
    """Without an improvement the alias stays, which is no failure: the output names what it points to, a note why."""
    compare = ("champion", "--if-better", "accuracy", "--min-delta", "0.001")
    assert mnistkit("models", "promote", "sklearn_mnist:1", *compare).out.endswith("\tsklearn_mnist:1\t1\n")
    outcome = mnistkit("models", "promote", "sklearn_mnist", *compare)
    assert outcome.out == "sklearn_mnist@champion\tsklearn_mnist:1\t1\n"
    accuracy = two.models.get("sklearn_mnist", 1).metrics["accuracy"]
    assert (
        f"Not promoted: sklearn_mnist:2 has accuracy {accuracy}, against {accuracy} of sklearn_mnist:1" in outcome.err
    )
    again = mnistkit("models", "promote", "sklearn_mnist@champion", *compare)
    assert "Not promoted" not in again.err
    (entry,) = mnistkit("models", "history", "sklearn_mnist", "--json").json
    assert (entry["reason"], "@" in entry["by"]) == (f"accuracy {accuracy}", True)
    assert entry["by"] in mnistkit("models", "history", "sklearn_mnist").out


def test_promote_by_a_metric_that_is_not_there(mnistkit: Program, two: Trainer) -> None:
    """A metric that the version lacks is answered with those it has; options of a comparison need a metric."""
    err = mnistkit("models", "promote", "sklearn_mnist", "champion", "--if-better", "f1", code=1).err
    assert "its metrics: " in err
    assert "accuracy=" in err
    assert "--if-better" in mnistkit("models", "promote", "sklearn_mnist", "champion", "--min-delta", "1", code=2).err
    assert two.models.aliases("sklearn_mnist") == {}


def test_the_history_of_nothing_is_explained(mnistkit: Program, trained: Trainer) -> None:
    """An alias or model without history is named; a model without aliases is no error."""
    assert "'nope'" in mnistkit("models", "history", "nope", code=1).err
    assert "its aliases: none yet" in mnistkit("models", "history", "sklearn_mnist", "x", code=1).err
    assert mnistkit("models", "history", "sklearn_mnist", "--json").json == []
    assert "no aliases yet" in mnistkit("models", "history", "sklearn_mnist").err


def test_download_copies_the_files(mnistkit: Program, trained: Trainer) -> None:
    """Download prints where each file is; they are the registered ones."""
    out = mnistkit("models", "download", "sklearn_mnist:1", "--into", "got").out
    assert sorted(out.splitlines()) == [str(Path("got/model.skops")), str(Path("got/probe.npz"))]
    assert file_info(Path("got/model.skops")) == trained.models.get("sklearn_mnist").files["model.skops"]


def test_verify_passes_what_is_whole(mnistkit: Program, two: Trainer) -> None:
    """Untouched models verify with exit code 0, all of them or one; it is said how much was checked."""
    size = sum(info.size for info in two.models.get("sklearn_mnist", 2).files.values())
    promote(two.models, "sklearn_mnist:1", "champion")
    for ref, count in (((), 2), (("sklearn_mnist",), 2), (("sklearn_mnist:2",), 1), (("sklearn_mnist@champion",), 1)):
        outcome = mnistkit("models", "verify", *ref)
        versions = "1 version" if count == 1 else f"{count} versions"
        assert (outcome.out, outcome.err) == ("", f"{versions} with {count * size} bytes verified, none bad.\n")
    assert mnistkit("models", "verify", "--json").json == {"versions": 2, "bytes": 2 * size, "problems": []}
    assert "has never existed" in mnistkit("models", "verify", "sklearn_mnist:9", code=1).err
    assert "No model 'nope'" in mnistkit("models", "verify", "nope", code=1).err


@pytest.mark.parametrize("file", ["model.skops", "manifest.json"])
def test_verify_finds_an_altered_file(mnistkit: Program, two: Trainer, file: str) -> None:
    """An altered file or manifest is named with its version and what is wrong; the exit code is 1."""
    damaged = Path(two.models.get("sklearn_mnist", 2).location, file)
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    found = mnistkit("models", "verify", "--json", code=1).json
    assert [(each["model"], each["file"]) for each in found["problems"]] == [("sklearn_mnist:2", file)]
    assert found["versions"] == 2
    assert f"sklearn_mnist:2\t{file}\t" in mnistkit("models", "verify", "sklearn_mnist:2", code=1).out


def test_damaged_aliases_hide_no_version(mnistkit: Program, two: Trainer) -> None:
    """Where the aliases can't be read, versions are listed and shown with a note, and verify names the alias."""
    promote(two.models, "sklearn_mnist:1", "champion")
    model_folder = Path(two.models.get("sklearn_mnist", 1).location).parents[1]
    (assignment,) = model_folder.glob("aliases/champion/*.json")
    assignment.chmod(0o644)
    assignment.write_text("x")
    listed = mnistkit("models", "list")
    assert "sklearn_mnist:2" in listed.out
    assert "left out the aliases of sklearn_mnist: sklearn_mnist@champion" in " ".join(listed.err.split())
    assert "sklearn_mnist:1" in mnistkit("models", "show", "sklearn_mnist:1").out
    found = mnistkit("models", "verify", code=1)
    assert found.out.startswith("sklearn_mnist\t\tsklearn_mnist@champion: ")
    assert "2 versions" in found.err
    assert "none bad. One of the aliases is bad." in found.err


def test_a_damaged_version_can_be_deleted(mnistkit: Program, two: Trainer) -> None:
    """A version whose manifest can't be read is deleted like any other, and nothing is off after that."""
    Path(two.models.get("sklearn_mnist", 1).location, "manifest.json").unlink()
    mnistkit("models", "delete", "sklearn_mnist:1", "--yes")
    mnistkit("models", "verify")


def test_verify_goes_past_deleted_versions(mnistkit: Program, two: Trainer) -> None:
    """A deleted version isn't off, and doesn't hide one after it, not even one that can't be read."""
    two.models.delete("sklearn_mnist", 1)
    assert mnistkit("models", "verify", "--json").json["versions"] == 1
    Path(two.models.get("sklearn_mnist", 2).location, "manifest.json").unlink()
    (problem,) = mnistkit("models", "verify", "--json", code=1).json["problems"]
    assert (problem["model"], problem["file"]) == ("sklearn_mnist:2", "manifest.json")


def test_the_list_can_be_narrowed(mnistkit: Program, two: Trainer) -> None:
    """Tags and bounds of a metric leave out versions that aren't so; that none is left is no error."""
    accuracy = two.models.get("sklearn_mnist", 2).metrics["accuracy"]

    def ids(*options: str) -> list[str]:
        return [each["id"] for each in mnistkit("models", "list", *options, "--json").json]

    assert ids("--tag", "n=2") == ["sklearn_mnist:2"]
    assert ids("--metric", "accuracy", "--min", str(accuracy)) == ["sklearn_mnist:2", "sklearn_mnist:1"]
    assert ids("--metric", "accuracy", "--max", "0.01") == ids("--tag", "n=2", "--tag", "m=2") == []
    assert "No version matches" in mnistkit("models", "list", "--tag", "n=3").err
    assert "name it, such as --metric accuracy" in mnistkit("models", "list", "--min", "0.5", code=2).err


def test_delete_takes_one_version(mnistkit: Program, two: Trainer) -> None:
    """Delete removes the version that is named, and its number is never used again."""
    mnistkit("models", "delete", "sklearn_mnist:2", "--yes")
    assert [each["version"] for each in mnistkit("models", "list", "--json").json] == [1]
    assert mnistkit("models", "register", "latest", "sklearn_mnist").out.endswith("\t3\n")


@pytest.mark.parametrize("ref", ["sklearn_mnist", "sklearn_mnist@champion"])
def test_delete_wants_a_version(mnistkit: Program, trained: Trainer, ref: str) -> None:
    """Delete takes neither the newest nor an alias: the version has to be named."""
    assert "has no version" in mnistkit("models", "delete", ref, "--yes", code=2).err
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
