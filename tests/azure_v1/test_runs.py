"""The real SDK keeps run history: interactive runs, child runs, tags, queries."""

from __future__ import annotations

import datetime as dt

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Experiment, Run, Workspace
from azureml.exceptions import ServiceException


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    """A new experiment."""
    return Experiment(workspace, "digits")


def test_experiments(workspace: Workspace) -> None:
    """Experiments are listed, tagged, found again and archived."""
    one, two = Experiment(workspace, "one"), Experiment(workspace, "two")
    assert set(workspace.experiments) == {"one", "two"}
    one.set_tags({"stage": "dev"})
    assert Experiment(workspace, "one").tags == {"stage": "dev"}
    assert Experiment(workspace, "one").id == one.id != two.id
    assert [each.name for each in Experiment.list(workspace, tags="stage")] == ["one"]
    one.remove_tags(["stage"])
    assert Experiment(workspace, "one").tags == {}
    two.archive()
    assert set(workspace.experiments) == {"one"}
    two.reactivate()
    assert set(workspace.experiments) == {"one", "two"}


def test_experiment_is_deleted(workspace: Workspace) -> None:
    """An experiment without runs can be deleted, one with runs can't."""
    empty, full = Experiment(workspace, "empty"), Experiment(workspace, "full")
    full.start_logging(snapshot_directory=None).complete()
    Experiment.delete(workspace, empty.id)
    assert set(workspace.experiments) == {"full"}
    with pytest.raises(ServiceException, match="has runs"):
        Experiment.delete(workspace, full.id)


def test_interactive_run(experiment: Experiment) -> None:
    """A run that is started by hand is Running until it is completed, and then is found by its id."""
    run = experiment.start_logging(snapshot_directory=None, display_name="by hand")
    assert run.get_status() == "Running"
    run.tag("stage", "dev")
    run.tag("marked")
    run.add_properties({"size": "60000"})
    run.complete()
    again = Run.get(experiment.workspace, run.id)
    details = again.get_details()
    assert details["status"] == "Completed"
    assert (again.tags, again.properties["size"]) == ({"stage": "dev", "marked": None}, "60000")
    assert again.display_name == "by hand"
    assert details["startTimeUtc"] <= details["endTimeUtc"]
    again.remove_tags(["stage"])
    assert Run.get(experiment.workspace, run.id).tags == {"marked": None}


def test_failed_and_canceled(experiment: Experiment) -> None:
    """A run that is failed keeps its error; one that is canceled is Canceled."""
    failed = experiment.start_logging(snapshot_directory=None)
    failed.fail(error_details="no digits", error_code="Empty")
    assert failed.get_status() == "Failed"
    assert "no digits" in str(failed.get_details()["error"])
    canceled = experiment.start_logging(snapshot_directory=None)
    canceled.cancel()
    assert canceled.get_status() == "Canceled"


def test_children(experiment: Experiment) -> None:
    """Child runs know their parent and root, and are listed with those of their own."""
    root = experiment.start_logging(snapshot_directory=None)
    first, second = root.create_children(tag_key="number", tag_values=["1", "2"])
    grandchild = first.child_run(name="deep")
    for run in (grandchild, first, second, root):
        run.complete()
    assert {run.id for run in root.get_children()} == {first.id, second.id}
    assert {run.id for run in root.get_children(recursive=True)} == {first.id, second.id, grandchild.id}
    assert [run.id for run in root.get_children(tags={"number": "2"})] == [second.id]
    again = Run.get(experiment.workspace, grandchild.id)
    assert again.parent.id == first.id
    assert again._root_run_id == root.id
    assert [run.id for run in experiment.get_runs()] == [root.id]
    assert {run.id for run in experiment.get_runs(include_children=True)} == {
        root.id,
        first.id,
        second.id,
        grandchild.id,
    }


def test_queries(experiment: Experiment) -> None:
    """Runs are found by tags, properties and type, the latest first."""
    ids = []
    for number in range(3):
        run = experiment.start_logging(snapshot_directory=None)
        run.set_tags({"even": str(number % 2 == 0), f"only{number}": "x", "with space": f"{number} and more"})
        run.add_properties({"number": str(number)})
        run.complete()
        ids.append(run.id)
    assert [run.id for run in experiment.get_runs()] == ids[::-1]
    assert [run.id for run in experiment.get_runs(tags={"even": "True"})] == [ids[2], ids[0]]
    assert [run.id for run in experiment.get_runs(tags={"even": "True", "only0": "x"})] == [ids[0]]
    assert [run.id for run in experiment.get_runs(tags="only1")] == [ids[1]]
    assert [run.id for run in experiment.get_runs(tags={"with space": "1 and more"})] == [ids[1]]
    assert [run.id for run in experiment.get_runs(properties={"number": "2"})] == [ids[2]]
    assert list(experiment.get_runs(tags="nowhere")) == []
    assert list(experiment.get_runs(type="azureml.scriptrun")) == []


def test_pages(experiment: Experiment) -> None:
    """More runs than fit on a page come all the same, each once."""
    client = experiment.start_logging(snapshot_directory=None)._client.run
    made = {run.id for run in (experiment.start_logging(snapshot_directory=None) for _ in range(4))}
    found = [run.run_id for run in client.get_runs(page_size=2)]
    assert len(found) == len(set(found)) == 5
    assert made < set(found)


def test_created_after(experiment: Experiment) -> None:
    """The filter that the SDK writes for a time, without quotes and with a space, is understood."""
    run = experiment.start_logging(snapshot_directory=None)
    now = dt.datetime.now(dt.timezone.utc)
    before, after = now - dt.timedelta(hours=1), now + dt.timedelta(hours=1)
    assert [each.run_id for each in run._client.run.get_runs(created_after=before)] == [run.id]
    assert list(run._client.run.get_runs(created_after=after)) == []
