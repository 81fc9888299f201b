"""Deleting old runs: what a plan may contain, and the look right before the deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.errors import IntegrityError, UsageError
from mnistkit.jobs.job import TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.version import ModelVersion
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunRecord, RunState, Transition
from mnistkit.runs.retention import PruningPlan, parse_age, plan_pruning, prune, registered_versions, run_size
from mnistkit.utils.clock import utc_now

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)
JOB = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression"))
ENDS = (RunState.COMPLETED, RunState.FAILED, RunState.CANCELED)


def a_run(number: int, *, hours: float = 0, state: RunState = RunState.COMPLETED, experiment: str = "a") -> RunRecord:
    """A run that reached its state so many hours ago, an hour after it was made."""
    at = NOW - timedelta(hours=hours)
    return RunRecord(
        id=f"run-{number}",
        job=attrs.evolve(JOB, experiment=experiment),
        data="digits",
        transitions=(Transition(RunState.QUEUED, at - timedelta(hours=1)), Transition(state, at)),
    )


def a_model(number: int, run_id: str | None) -> ModelVersion:
    """A version that came from a run."""
    return ModelVersion(
        name="digits", version=number, created_at=NOW, format="files", files={}, digest="0" * 64, run_id=run_id
    )


def ids(runs: Iterable[RunRecord]) -> list[str]:
    """The ids of runs."""
    return [run.id for run in runs]


many_runs = st.lists(st.tuples(st.integers(0, 100), st.sampled_from(RunState), st.sampled_from("ab")), max_size=12).map(
    lambda rows: [a_run(n, hours=h, state=s, experiment=e) for n, (h, s, e) in enumerate(rows)]
)
some_models = st.lists(st.none() | st.integers(0, 14), max_size=4).map(
    lambda runs: [a_model(n, None if run is None else f"run-{run}") for n, run in enumerate(runs, start=1)]
)
rules = st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(0, 100).map(lambda h: timedelta(hours=h)))


@given(records=many_runs, models=some_models, rule=rules.filter(lambda rule: rule != (None, None)))
def test_what_a_plan_contains(
    records: list[RunRecord], models: list[ModelVersion], rule: tuple[int | None, timedelta | None]
) -> None:
    """Each run goes or stays; one goes exactly if it has ended, made no model, is not among the newest, and is old."""
    keep, older_than = rule
    plan = plan_pruning(records, models, keep=keep, older_than=older_than, now=NOW)
    gone, stays = ids(plan.delete), ids(kept.record for kept in plan.keep)
    assert sorted(gone + stays) == sorted(ids(records))
    for record in records:
        newer = [
            other
            for other in records
            if other.experiment == record.experiment and (other.created_at, other.id) > (record.created_at, record.id)
        ]
        must_stay = (
            record.state not in ENDS
            or any(model.run_id == record.id for model in models)
            or (keep is not None and len(newer) < keep)
            or (older_than is not None and record.transitions[-1].at >= NOW - older_than)
        )
        assert (record.id in stays) == must_stay
    assert all(kept.reason for kept in plan.keep)


@given(records=many_runs, models=some_models, keep=st.integers(0, 5))
def test_keeping_more_deletes_less(records: list[RunRecord], models: list[ModelVersion], keep: int) -> None:
    """A larger ``keep``, or an age besides, never deletes a run that would have stayed without."""
    less = set(ids(plan_pruning(records, models, keep=keep, now=NOW).delete))
    assert set(ids(plan_pruning(records, models, keep=keep + 1, now=NOW).delete)) <= less
    assert set(ids(plan_pruning(records, models, keep=keep, older_than=timedelta(50), now=NOW).delete)) <= less


def test_naive_pruning_deletes_what_a_model_came_from() -> None:
    """The proof can fail: whoever looks at ages alone deletes the run of a registered model, and one that goes on."""
    records = [a_run(1, hours=99), a_run(2, hours=99, state=RunState.RUNNING), a_run(3, hours=99)]
    naive = [record for record in records if NOW - record.created_at > timedelta(hours=50)]
    assert ids(naive) == ["run-1", "run-2", "run-3"]
    assert ids(plan_pruning(records, [a_model(1, "run-1")], older_than=timedelta(hours=50), now=NOW).delete) == [
        "run-3"
    ]


def test_the_reasons() -> None:
    """Each kept run says what keeps it."""
    records = [
        a_run(1, hours=500),
        a_run(2, hours=400, state=RunState.RUNNING),
        a_run(3, hours=100),
        a_run(4, hours=30),
        a_run(5, hours=1),
        a_run(6, hours=600),
    ]
    models = [a_model(1, "run-1"), a_model(4, "run-1")]
    plan = plan_pruning(records, models, keep=1, older_than=timedelta(days=7), now=NOW)
    assert ids(plan.delete) == ["run-6"]
    assert {kept.record.id: kept.reason for kept in plan.keep} == {
        "run-1": "digits:1, digits:4 came from it",
        "run-2": "it is Running",
        "run-3": "it finished 4 days ago",
        "run-4": "it finished 30 hours ago",
        "run-5": "it is one of the newest 1 of a",
    }


def test_a_plan_needs_a_rule() -> None:
    """Without a rule, or with one that is negative, nothing is planned."""
    with pytest.raises(UsageError, match="keep"):
        plan_pruning([], [])
    with pytest.raises(UsageError, match="negative"):
        plan_pruning([], [], keep=-1)
    with pytest.raises(UsageError, match="negative"):
        plan_pruning([], [], older_than=timedelta(-1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12h", timedelta(hours=12)), ("30d", timedelta(30)), ("2w", timedelta(14)), (" 0 d ", timedelta(0))],
)
def test_time_spans(text: str, expected: timedelta) -> None:
    """Hours, days and weeks are understood."""
    assert parse_age(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 days", "1m", "999999w", "1d2h", "٣d"])
def test_what_is_no_time_span(text: str) -> None:
    """Everything else is refused, with an example of what isn't."""
    with pytest.raises(UsageError, match="12h, 30d or 2w"):
        parse_age(text)


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry without models."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "model.bin").write_bytes(b"model")
    return FolderRegistry(tmp_path / "home")


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., str]:
    """Make a run that has ended, or is in another state, with 1000 bytes of output."""
    store = RunStore(tmp_path / "home" / "runs")

    def create(state: RunState = RunState.COMPLETED) -> str:
        run_id = store.create(JOB, "digits")
        (store.folder(run_id) / "outputs" / "result").write_bytes(b"x" * 1000)
        if state is not RunState.QUEUED:
            store.advance(run_id, state)
        return run_id

    return create


@pytest.fixture
def compute(tmp_path: Path) -> InProcessCompute:
    """The backend that keeps these runs."""
    return InProcessCompute(tmp_path / "home")


def plan_of(compute: InProcessCompute, registry: FolderRegistry) -> PruningPlan:
    """A plan that deletes whatever may be deleted."""
    return plan_pruning(compute.runs(), registered_versions(registry), keep=0)


def test_prune_deletes_what_the_plan_says(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str], tmp_path: Path
) -> None:
    """The runs of the plan are gone with their folders; the others, and the models, are as they were."""
    first, second, going_on = new_run(), new_run(RunState.FAILED), new_run(RunState.QUEUED)
    registry.register("digits", tmp_path / "source", ModelInfo(format="files", run_id=first))
    done = prune(plan_of(compute, registry), compute, registry)
    assert ids(done.delete) == [second]
    assert sorted(ids(compute.runs())) == sorted([first, going_on])
    assert sorted(path.name for path in (tmp_path / "home" / "runs").iterdir()) == sorted([first, going_on])
    assert registry.get("digits").run_id == first


def test_prune_looks_again_at_the_models(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str], tmp_path: Path
) -> None:
    """A model that was registered after the plan was made keeps its run, be it the first of its name or not."""
    runs = [new_run() for _ in range(4)]
    registry.register("digits", tmp_path / "source", ModelInfo(format="files"))
    plan = plan_of(compute, registry)
    assert len(plan.delete) == 4
    registry.register("digits", tmp_path / "source", ModelInfo(format="files", run_id=runs[0]))
    registry.register("other", tmp_path / "source", ModelInfo(format="files", run_id=runs[2]))
    done = prune(plan, compute, registry)
    assert sorted(ids(done.delete)) == sorted([runs[1], runs[3]])
    assert {kept.record.id: kept.reason for kept in done.keep} == {
        runs[0]: "digits:2 came from it",
        runs[2]: "other:1 came from it",
    }


def test_prune_looks_while_it_deletes(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str], tmp_path: Path
) -> None:
    """A model registered while runs are being deleted keeps its run: the look is right before each deletion."""
    for _ in range(3):
        new_run()
    plan = plan_of(compute, registry)

    class Registering:
        """Deletes runs; somebody registers the next one's model meanwhile."""

        def get(self, run_id: str) -> RunRecord:
            return compute.get(run_id)

        def delete_run(self, run_id: str) -> None:
            compute.delete_run(run_id)
            registry.register("digits", tmp_path / "source", ModelInfo(format="files", run_id=plan.delete[1].id))

    done = prune(plan, Registering(), registry)
    assert ids(done.delete) == [plan.delete[0].id, plan.delete[2].id]
    assert ids(compute.runs()) == [plan.delete[1].id]


def test_prune_looks_again_at_the_state(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str]
) -> None:
    """A run that goes on is kept even if a plan names it; one that is gone already is in neither list."""
    going_on, gone = new_run(RunState.QUEUED), new_run()
    plan = PruningPlan(delete=compute.runs(), keep=())
    compute.delete_run(gone)
    done = prune(plan, compute, registry)
    assert done.delete == ()
    assert [(kept.record.id, kept.reason) for kept in done.keep] == [(going_on, "it is Queued")]
    assert ids(compute.runs()) == [going_on]


def test_one_failure_does_not_stop_the_others(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose folder the system won't move stays, and says why; the others go."""
    stuck, free = new_run(), new_run()
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == stuck:
            raise PermissionError(13, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    done = prune(plan_of(compute, registry), compute, registry)
    assert ids(done.delete) == [free]
    assert [kept.record.id for kept in done.keep] == [stuck]
    assert "Permission denied" in done.keep[0].reason


@pytest.mark.parametrize("damaged", [1, 2, 3, 4])
def test_an_unreadable_model_stops_everything(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str], tmp_path: Path, damaged: int
) -> None:
    """If it can't be told which run a version came from, nothing is deleted, wherever that version is in the list."""
    run_id = new_run()
    plan = plan_of(compute, registry)
    for _ in range(4):
        registry.register("digits", tmp_path / "source", ModelInfo(format="files", run_id=run_id))
    registry.delete("digits", 4 if damaged == 1 else damaged - 1)
    manifest = Path(registry.get("digits", damaged).location, "manifest.json")
    manifest.chmod(0o644)
    manifest.write_bytes(b"{")
    with pytest.raises(IntegrityError, match=f"digits:{damaged}"):
        registered_versions(registry)
    with pytest.raises(IntegrityError, match=f"digits:{damaged}"):
        prune(plan, compute, registry)
    assert ids(compute.runs()) == [run_id]


def test_deleted_versions_keep_nothing(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str], tmp_path: Path
) -> None:
    """A version that was deleted no longer keeps the run that it came from."""
    run_id = new_run()
    registry.register("digits", tmp_path / "source", ModelInfo(format="files", run_id=run_id))
    registry.delete("digits", 1)
    assert ids(prune(plan_of(compute, registry), compute, registry).delete) == [run_id]


def test_sizes(compute: InProcessCompute, new_run: Callable[..., str]) -> None:
    """The size of a run is that of all its files; of one that isn't on this machine nobody knows."""
    run = compute.get(new_run())
    expected = sum(path.stat().st_size for path in Path(run.url).rglob("*") if path.is_file())
    assert run_size(run) == expected >= 1000
    assert run_size(attrs.evolve(run, url="https://example.org/runs/1")) is None


def test_the_present_is_the_default(
    compute: InProcessCompute, registry: FolderRegistry, new_run: Callable[..., str]
) -> None:
    """Without ``now`` ages are counted from the present."""
    new_run()
    before = utc_now()
    assert plan_pruning(compute.runs(), (), older_than=timedelta(minutes=10)).delete == ()
    assert len(plan_pruning(compute.runs(), (), older_than=timedelta(0)).delete) == 1
    assert utc_now() - before < timedelta(minutes=10)
