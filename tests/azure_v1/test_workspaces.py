"""The real SDK creates and deletes workspaces beside the emulator's own, each empty."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import sdk_jobs as jobs
from azureml.core import Dataset, Experiment, Workspace


def create(workspace: Workspace, name: str, **options: object) -> Workspace:
    """A workspace beside another one."""
    options = {"location": "eastus2", "create_resource_group": True, **options}
    where = {"subscription_id": workspace.subscription_id, "resource_group": workspace.resource_group}
    return Workspace.create(name, auth=workspace._auth, show_output=False, **where, **options)


def test_workspaces_are_apart(workspace: Workspace, tmp_path: Path) -> None:
    """A created workspace is found by its name, is empty, runs jobs of its own, and is deleted again."""
    Experiment(workspace, "first").start_logging(snapshot_directory=None).complete()
    other = create(workspace, "other")
    assert (other.name, other.location) == ("other", "eastus2")
    assert other._workspace_id != workspace._workspace_id
    assert dict(other.experiments) == {}
    with pytest.raises(Exception, match="already exists"):
        create(workspace, "other")
    assert create(workspace, "other", exist_ok=True).get_details() == other.get_details()
    assert set(Workspace.list(workspace.subscription_id, auth=workspace._auth)) == {workspace.name, "other"}
    run = jobs.submit(other, jobs.write(tmp_path / "src", "open('outputs/x', 'w').write('1')\n"), jobs.cluster(other))
    assert jobs.wait(run) == "Completed"
    assert "outputs/x" in run.get_file_names()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("a\n1\n")
    other.get_default_datastore().upload(str(tmp_path / "data"), "tables", show_progress=False)
    table = Dataset.Tabular.from_delimited_files((other.get_default_datastore(), "tables/a.csv"))
    assert list(table.to_pandas_dataframe()["a"]) == [1]
    assert set(workspace.experiments) == {"first"}
    assert workspace.compute_targets == {}
    other.delete()
    with pytest.raises(Exception, match="not found"):
        Workspace.get("other", workspace._auth, workspace.subscription_id, workspace.resource_group)
    assert dict(create(workspace, "other").experiments) == {}
    assert set(workspace.experiments) == {"first"}


def test_its_own_workspace_stays(workspace: Workspace) -> None:
    """The emulator's own workspace can't be deleted."""
    with pytest.raises(Exception, match="own workspace"):
        workspace.delete()
    assert Workspace.from_config().name == workspace.name
