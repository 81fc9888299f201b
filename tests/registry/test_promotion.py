"""References, promotion and rollback."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistkit.errors import ConflictError, InvalidNameError, ModelNotFoundError, NotFoundError, UsageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.input import InputSpec
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.promotion import promote, resolve_model, rollback
from mnistkit.registry.version import ModelRef
from mnistkit.utils.clock import utc_now


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """A registry with four versions of ``digits``."""
    registry = FolderRegistry(tmp_path / "home")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.bin").write_bytes(b"model")
    for _ in range(4):
        registry.register("digits", tmp_path / "source", ModelInfo(format="files"))
    return registry


def _history(registry: ModelRegistry) -> list[int]:
    return [entry.version for entry in registry.aliases("digits").get("champion", ())]


def test_resolve_all_spellings(registry: ModelRegistry) -> None:
    """``name`` is the newest version, ``name:N`` that one, ``name@alias`` what the alias points to now."""
    registry.assign("digits", "champion", 2)
    assert resolve_model(registry, "digits").version == 4
    assert resolve_model(registry, "digits:3").version == 3
    assert resolve_model(registry, "digits@champion").version == 2
    assert resolve_model(registry, ModelRef("digits", alias="champion")) == registry.get("digits", 2)


class Interrupted(FolderRegistry):
    """A registry where somebody else is faster, once: between a look at the aliases and the next assignment."""

    __slots__ = ("_others",)

    def __init__(self, root: Path, others: Callable[[FolderRegistry], object]) -> None:
        super().__init__(root)
        self._others = [others]

    def assign(self, *args: Any, **keywords: Any) -> None:
        """Let the others go first."""
        while self._others:
            self._others.pop()(self)
        super().assign(*args, **keywords)


def _register(registry: ModelRegistry, folder: Path, *accuracies: float) -> None:
    for accuracy in accuracies:
        registry.register("digits", folder / "source", ModelInfo(format="files", metrics={"accuracy": accuracy}))


def test_a_worse_version_never_replaces_a_better_one(registry: ModelRegistry, tmp_path: Path) -> None:
    """If somebody promotes a better version between the comparison and the assignment, it is compared again."""
    _register(registry, tmp_path, 0.90, 0.91, 0.95)  # 5, 6, 7
    late = Interrupted(tmp_path / "home", lambda it: promote(it, "digits:7", "champion", if_better="accuracy"))
    promote(registry, "digits:5", "champion")
    assert promote(late, "digits:6", "champion", if_better="accuracy").version == 7
    assert _history(registry) == [5, 7]


def test_a_better_version_wins_whoever_is_first(registry: ModelRegistry, tmp_path: Path) -> None:
    """If somebody promotes a version that is worse than ours meanwhile, ours replaces that; the reason names it."""
    _register(registry, tmp_path, 0.90, 0.91, 0.95)
    late = Interrupted(tmp_path / "home", lambda it: promote(it, "digits:6", "champion", if_better="accuracy"))
    promote(registry, "digits:5", "champion")
    assert promote(late, "digits:7", "champion", if_better="accuracy").version == 7
    assert registry.aliases("digits")["champion"][-1].reason == "accuracy 0.95, before 0.91"


def test_two_rollbacks_at_once_undo_one_promotion(registry: ModelRegistry, tmp_path: Path) -> None:
    """Of two rollbacks at the same moment one is a `ConflictError`: the good version isn't undone as well."""
    for number in (1, 2, 3):
        promote(registry, f"digits:{number}", "champion")
    late = Interrupted(tmp_path / "home", lambda it: rollback(it, "digits", "champion"))
    with pytest.raises(ConflictError, match="Look at its history"):
        rollback(late, "digits", "champion")
    assert _history(registry) == [1, 2, 3, 2]


def test_a_promotion_at_once_is_not_rolled_back(registry: ModelRegistry, tmp_path: Path) -> None:
    """A rollback never undoes a promotion that came after it had looked."""
    for number in (1, 2):
        promote(registry, f"digits:{number}", "champion")
    late = Interrupted(tmp_path / "home", lambda it: promote(it, "digits:4", "champion"))
    with pytest.raises(ConflictError):
        rollback(late, "digits", "champion")
    assert _history(registry) == [1, 2, 4]


def test_resolve_follows_deletion(registry: ModelRegistry) -> None:
    """When the newest version is deleted, ``name`` is the next newest."""
    registry.delete("digits", 4)
    assert resolve_model(registry, "digits").version == 3


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("digits@challenger", "aliases: champion"),
        ("digits:9", "1, 2, 3, 4"),
        ("letters", "models: digits"),
        ("letters@champion", "models: digits"),
    ],
)
def test_resolve_says_what_there_is(registry: ModelRegistry, ref: str, message: str) -> None:
    """An unknown model, version or alias is a `ModelNotFoundError` that lists the ones there are."""
    registry.assign("digits", "champion", 1)
    with pytest.raises(ModelNotFoundError, match=message):
        resolve_model(registry, ref)


@pytest.mark.parametrize("ref", ["", "a/b", "digits@a/b", "digits:0", "digits:1:2", "../digits"])
def test_resolve_refuses_what_is_no_reference(registry: ModelRegistry, ref: str) -> None:
    """What can't be a reference is an `InvalidNameError`."""
    with pytest.raises(InvalidNameError):
        resolve_model(registry, ref)


def test_promote_by_any_reference(registry: ModelRegistry) -> None:
    """`promote` points the alias to what the reference means, and keeps the reason."""
    assert promote(registry, "digits:2", "challenger").version == 2
    assert promote(registry, "digits@challenger", "champion", reason="beats it").version == 2
    assert promote(registry, "digits", "champion").version == 4
    assert _history(registry) == [2, 4]
    assert registry.aliases("digits")["champion"][0].reason == "beats it"


def test_promote_again_adds_nothing(registry: ModelRegistry) -> None:
    """Promoting what the alias points to already is no new entry in its history."""
    promote(registry, "digits:1", "champion")
    promote(registry, "digits:1", "champion")
    assert _history(registry) == [1]


def test_promote_checks_first(registry: ModelRegistry) -> None:
    """A bad alias or an unknown version changes nothing."""
    with pytest.raises(InvalidNameError):
        promote(registry, "digits", "a/b")
    with pytest.raises(ModelNotFoundError):
        promote(registry, "digits:9", "champion")
    assert registry.aliases("digits") == {}


def test_rollback_undoes_the_last_promotion(registry: ModelRegistry) -> None:
    """`rollback` points the alias to what it was before, and the history shows it."""
    for version in (1, 2, 3):
        promote(registry, f"digits:{version}", "champion")
    assert rollback(registry, "digits", "champion").version == 2
    assert resolve_model(registry, "digits@champion").version == 2
    assert _history(registry) == [1, 2, 3, 2]
    assert registry.aliases("digits")["champion"][-1].reason == "rollback from version 3"


def test_second_rollback_in_a_row_is_refused(registry: ModelRegistry) -> None:
    """A second rollback neither brings the bad version back nor goes further back: it is refused."""
    for version in (1, 2, 3):
        promote(registry, f"digits:{version}", "champion")
    rollback(registry, "digits", "champion")
    with pytest.raises(UsageError, match="already"):
        rollback(registry, "digits", "champion")
    assert _history(registry) == [1, 2, 3, 2]


def test_rollback_works_again_after_a_promotion(registry: ModelRegistry) -> None:
    """After a rollback the next promotion can be undone, back to what was rolled back to: never to the bad version."""
    for version in (1, 2):
        promote(registry, f"digits:{version}", "champion")
    rollback(registry, "digits", "champion")
    promote(registry, "digits:3", "champion")
    assert rollback(registry, "digits", "champion").version == 1


def test_rollback_of_a_repeated_promotion(registry: ModelRegistry) -> None:
    """A version that was rolled back from and promoted again can be rolled back from again."""
    for version in (1, 2):
        promote(registry, f"digits:{version}", "champion")
    rollback(registry, "digits", "champion")
    promote(registry, "digits:2", "champion")
    assert rollback(registry, "digits", "champion").version == 1
    assert _history(registry) == [1, 2, 1, 2, 1]


def test_rollback_ignores_repeated_assignments(registry: ModelRegistry) -> None:
    """Two assignments of one version in a row, as two people may make at once, are one promotion."""
    for version in (1, 2, 2):
        registry.assign("digits", "champion", version)
    assert rollback(registry, "digits", "champion", reason="drift").version == 1
    assert registry.aliases("digits")["champion"][-1].reason == "drift"


def test_rollback_with_nothing_before(registry: ModelRegistry) -> None:
    """Without an earlier version there is nothing to go back to, and the message says so."""
    with pytest.raises(ModelNotFoundError, match="no alias 'champion'"):
        rollback(registry, "digits", "champion")
    promote(registry, "digits:1", "champion")
    with pytest.raises(ModelNotFoundError, match="none to go back to"):
        rollback(registry, "digits", "champion")


def test_rollback_to_a_deleted_version(registry: ModelRegistry) -> None:
    """If the earlier version was deleted, that is an error that says so, and the alias stays."""
    for version in (1, 2):
        promote(registry, f"digits:{version}", "champion")
    registry.delete("digits", 1)
    with pytest.raises(ModelNotFoundError, match=r"Version 1 .* was deleted"):
        rollback(registry, "digits", "champion")
    assert _history(registry) == [1, 2]


@pytest.fixture
def measured(tmp_path: Path) -> ModelRegistry:
    """A registry with versions of ``digits`` whose accuracies are 0.97, 0.971, 0.97, none, 0.96 with loss 0.1, 0.2."""
    registry = FolderRegistry(tmp_path / "measured")
    (tmp_path / "source").mkdir(exist_ok=True)
    (tmp_path / "source" / "model.bin").write_bytes(b"model")
    for metrics in (
        {"accuracy": 0.97},
        {"accuracy": 0.971},
        {"accuracy": 0.97},
        {},
        {"accuracy": 0.96, "loss": 0.1},
        {"accuracy": 0.96, "loss": 0.2},
    ):
        registry.register("digits", tmp_path / "source", ModelInfo(format="files", metrics=metrics))
    return registry


@pytest.mark.parametrize(
    ("candidate", "min_delta", "holds"),
    [(2, 0.0, 2), (2, 0.0009, 2), (2, 0.001, 1), (2, 1.0, 1), (3, 0.0, 1), (5, 0.0, 1), (1, 0.0, 1)],
)
def test_promote_only_what_is_better(measured: ModelRegistry, candidate: int, min_delta: float, holds: int) -> None:
    """Better by more than ``min_delta``, as the numbers are written, is promoted; what is equal or worse isn't."""
    promote(measured, "digits:1", "champion")
    model = promote(measured, f"digits:{candidate}", "champion", if_better="accuracy", min_delta=min_delta)
    assert model == measured.get("digits", holds)
    assert resolve_model(measured, "digits@champion") == model
    assert _history(measured) == ([1] if holds == 1 else [1, holds])


def test_naive_floats_would_promote_a_rounding_error() -> None:
    """The proof can fail: as floats, 0.971 is better than 0.97 by more than 0.001."""
    assert 0.971 - 0.97 > 0.001


def test_promote_where_lower_is_better(measured: ModelRegistry) -> None:
    """With ``mode="min"`` the lower value is the better one."""
    promote(measured, "digits:6", "champion")
    assert promote(measured, "digits:5", "champion", if_better="loss", mode="min").version == 5
    assert promote(measured, "digits:6", "champion", if_better="loss", mode="min").version == 5


def test_promote_to_an_alias_that_is_new(measured: ModelRegistry) -> None:
    """An alias that points to nothing yet is given to any version that has the metric; the history says its value."""
    assert promote(measured, "digits:5", "champion", if_better="accuracy", min_delta=0.5).version == 5
    assert promote(measured, "digits:2", "champion", if_better="accuracy").version == 2
    assert promote(measured, "digits:1", "champion", reason="anyway").version == 1
    reasons = [entry.reason for entry in measured.aliases("digits")["champion"]]
    assert reasons == ["accuracy 0.96", "accuracy 0.971, before 0.96", "anyway"]


@pytest.mark.parametrize(("candidate", "present"), [(4, 1), (1, 4), (4, None)])
def test_promote_without_the_metric_is_refused(measured: ModelRegistry, candidate: int, present: int | None) -> None:
    """If either version lacks the metric nothing changes, and the error lists the metrics of the one that does."""
    if present:
        promote(measured, f"digits:{present}", "champion")
    with pytest.raises(NotFoundError, match=r"digits:4 has no finite metric 'accuracy' .* its metrics: none"):
        promote(measured, f"digits:{candidate}", "champion", if_better="accuracy")
    with pytest.raises(NotFoundError, match=r"its metrics: accuracy=0\.96, loss=0\.1"):
        promote(measured, "digits:5", "champion", if_better="f1")
    assert _history(measured) == ([present] if present else [])


@pytest.mark.parametrize("min_delta", [-0.1, float("nan"), float("inf")])
def test_promote_wants_a_sensible_delta(measured: ModelRegistry, min_delta: float) -> None:
    """A ``min_delta`` that is negative or not finite is refused, and so is an unknown mode."""
    with pytest.raises(UsageError, match="min_delta"):
        promote(measured, "digits:1", "champion", if_better="accuracy", min_delta=min_delta)
    with pytest.raises(UsageError, match="'max' or 'min'"):
        promote(measured, "digits:1", "champion", if_better="accuracy", mode="best")  # type: ignore[arg-type]
    assert _history(measured) == []


@settings(deadline=None, max_examples=30)
@given(accuracies=st.lists(st.floats(0, 1), min_size=1, max_size=8), min_delta=st.sampled_from([0.0, 0.01]))
def test_a_series_of_promotions_only_improves(
    accuracies: list[float], min_delta: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However versions come, each in the alias's history is better than the one before it by more than the delta."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "source").mkdir()
    (folder / "source" / "model.bin").write_bytes(b"model")
    registry = FolderRegistry(folder / "home")
    for accuracy in accuracies:
        model = registry.register(
            "digits", folder / "source", ModelInfo(format="files", metrics={"accuracy": accuracy})
        )
        promote(registry, model.id, "champion", if_better="accuracy", min_delta=min_delta)
    values = [accuracies[version - 1] for version in _history(registry)]
    assert all(Decimal(str(new)) - Decimal(str(old)) > Decimal(str(min_delta)) for old, new in pairwise(values))
    if not min_delta:
        assert values[-1] == max(accuracies)


def test_the_history_says_who_and_when(registry: ModelRegistry) -> None:
    """Each assignment has the user and host that made it, and its time; a file without them still loads."""
    before = utc_now()
    promote(registry, "digits:1", "champion")
    (entry,) = registry.aliases("digits")["champion"]
    user, at, host = entry.by.partition("@")
    assert (bool(user), at, host) == (True, "@", socket.gethostname())
    assert before <= entry.assigned_at <= utc_now()
    (file,) = Path(registry.get("digits", 1).location).parents[1].glob("aliases/champion/*.json")
    kept = json.loads(file.read_bytes())
    for key in ("by", "reason"):
        del kept[key]
    file.chmod(0o644)
    file.write_text(json.dumps(kept), encoding="utf-8")
    (entry,) = registry.aliases("digits")["champion"]
    assert (entry.version, entry.by, entry.reason) == (1, "", "")


def test_who_without_a_name(registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no name for the user, as in containers, the history still says the host."""

    def nameless() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nameless)
    promote(registry, "digits:1", "champion")
    assert registry.aliases("digits")["champion"][-1].by.endswith(f"@{socket.gethostname()}")


def test_metrics_of_other_data_do_not_compare(registry: ModelRegistry, tmp_path: Path) -> None:
    """A version that was tested on other images is never promoted for its metric; without a comparison it is."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model").write_text("model")
    for data, accuracy in (("a", 0.5), ("b", 0.9)):
        spec = InputSpec(height=8, width=8, dataset=data, dataset_sha256=data * 64)
        registry.register(
            "m", tmp_path / "files", ModelInfo(format="files", metrics={"accuracy": accuracy}, input=spec)
        )
    promote(registry, "m:1", "champion", if_better="accuracy")
    with pytest.raises(UsageError, match=r"m:2 was tested on b and m:1 on a, which are different images"):
        promote(registry, "m:2", "champion", if_better="accuracy")
    assert resolve_model(registry, "m@champion").version == 1
    assert promote(registry, "m:2", "champion").version == 2
