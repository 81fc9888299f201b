"""The real SDK and what jobs leave: outputs that become datasets; and jobs of several processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import sdk_jobs as jobs
from azureml.core import Dataset, Datastore, Experiment, ScriptRunConfig, Workspace
from azureml.core.runconfig import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from azureml.data import OutputFileDatasetConfig
from azureml.data.data_reference import DataReference

WRITE = """
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
(folder / "table.csv").write_text("a,b\\n1,2\\n")
(folder / "notes.txt").write_text("x")
print("as", os.environ["AZURE_ML_OUTPUT_made"] == sys.argv[1])
"""
TELL = """
import json, os
from azureml.core import Run
names = os.environ["NAMES"].split(",")
print("found", json.dumps({name: os.environ.get(name) for name in names}), flush=True)
Run.get_context().log("rank", len(names))
"""


def test_an_output_is_a_dataset(workspace: Workspace, tmp_path: Path) -> None:
    """What a script writes to its output is in the datastore afterwards, registered, and part of the run's details."""
    output = OutputFileDatasetConfig(name="made", destination=(workspace.get_default_datastore(), "results/{run-id}"))
    output = output.register_on_complete("results", description="made by a job", tags={"Stage": "dev"})
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", WRITE), jobs.cluster(workspace), output)
    assert jobs.wait(run) == "Completed"
    assert "as True" in jobs.log(run)
    dataset = Dataset.get_by_name(workspace, "results")
    assert (dataset.description, dataset.tags) == ("made by a job", {"Stage": "dev"})
    files = [Path(file) for file in dataset.download(str(tmp_path / "down"))]
    assert {file.name: file.read_text() for file in files} == {"table.csv": "a,b\n1,2\n", "notes.txt": "x"}
    (lineage,) = run.get_details()["outputDatasets"]
    assert lineage["identifier"]["registeredId"]
    store = Datastore.get(workspace, "workspaceblobstore")
    assert store.download(str(tmp_path / "raw"), prefix=f"results/{run.id}") == 2


def test_an_output_in_part(workspace: Workspace, tmp_path: Path) -> None:
    """An upload takes the files that it names; an output without a destination has one by the run's id."""
    output = OutputFileDatasetConfig(name="made").as_upload(overwrite=True, source_globs=["**/*.csv"])
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", WRITE), "local", output)
    assert jobs.wait(run) == "Completed"
    store = Datastore.get(workspace, "workspaceblobstore")
    assert store.download(str(tmp_path / "raw"), prefix=f"dataset/{run.id}/made") == 1


def test_data_references(workspace: Workspace, tmp_path: Path) -> None:
    """A reference is a path of a datastore: what is there comes to the job, and what it changes there goes back."""
    script = """
    import os, pathlib, sys
    both, only = (pathlib.Path(each) for each in sys.argv[1:])
    print("found", both.joinpath("a.txt").read_text(), os.environ["AZUREML_DATAREFERENCE_both"] == sys.argv[1])
    both.joinpath("b.txt").write_text("new")
    only.write_text("a file")
    """
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("given")
    store = workspace.get_default_datastore()
    store.upload(str(tmp_path / "data"), "refs/in", show_progress=False)
    both = DataReference(store, "both", path_on_datastore="refs/in")
    only = DataReference(store, "only", path_on_datastore="refs/made.txt", mode="upload", path_on_compute="made.txt")
    folder = jobs.write(tmp_path / "src", script)
    config = ScriptRunConfig(str(folder), script="train.py", compute_target=jobs.cluster(workspace))
    config.run_config.arguments = [str(both), str(only)]
    config.run_config.data_references = {each.data_reference_name: each.to_config() for each in (both, only)}
    run = Experiment(workspace, "digits").submit(config)
    assert jobs.wait(run) == "Completed"
    assert "found given True" in jobs.log(run)
    assert store.download(str(tmp_path / "down"), prefix="refs") == 3
    down = tmp_path / "down" / "refs"
    assert (down / "in" / "b.txt").read_text() == "new"
    assert (down / "made.txt").read_text() == "a file"


@pytest.mark.parametrize(
    ("kind", "names", "found"),
    [
        (
            MpiConfiguration(process_count_per_node=2, node_count=2),
            "OMPI_COMM_WORLD_RANK,OMPI_COMM_WORLD_SIZE,OMPI_COMM_WORLD_LOCAL_RANK,NODE_RANK",
            [("0", "4", "0", "0"), ("1", "4", "1", "0"), ("2", "4", "0", "1"), ("3", "4", "1", "1")],
        ),
        (
            PyTorchConfiguration(process_count=2, node_count=1, communication_backend="Gloo"),
            "RANK,WORLD_SIZE,LOCAL_RANK,MASTER_ADDR",
            [("0", "2", "0", "127.0.0.1"), ("1", "2", "1", "127.0.0.1")],
        ),
    ],
)
def test_several_processes(
    workspace: Workspace, tmp_path: Path, kind: object, names: str, found: list[tuple[str, ...]]
) -> None:
    """A distributed job runs as several processes, each of which knows its place and logs to the run."""
    folder = jobs.write(tmp_path / "src", TELL)
    config = ScriptRunConfig(
        str(folder), script="train.py", compute_target=jobs.cluster(workspace), distributed_job_config=kind
    )
    config.run_config.environment_variables = {"NAMES": names}
    run = Experiment(workspace, "digits").submit(config)
    assert jobs.wait(run) == "Completed"
    told = [json.loads(line.removeprefix("found ")) for line in jobs.log(run).splitlines() if line.startswith("found ")]
    assert sorted(tuple(each[name] for name in names.split(",")) for each in told) == sorted(found)
    assert len(run.get_metrics()["rank"]) == len(found)


def test_tensorflow(workspace: Workspace, tmp_path: Path) -> None:
    """Workers and parameter servers find each other by TF_CONFIG."""
    folder = jobs.write(tmp_path / "src", "import os\nprint('found', os.environ['TF_CONFIG'])\n")
    kind = TensorflowConfiguration(worker_count=2, parameter_server_count=1)
    config = ScriptRunConfig(
        str(folder), script="train.py", compute_target=jobs.cluster(workspace), distributed_job_config=kind
    )
    run = Experiment(workspace, "digits").submit(config)
    assert jobs.wait(run) == "Completed"
    told = [json.loads(line.removeprefix("found ")) for line in jobs.log(run).splitlines() if line.startswith("found ")]
    assert sorted((each["task"]["type"], each["task"]["index"]) for each in told) == [
        ("ps", 0),
        ("worker", 0),
        ("worker", 1),
    ]
    assert {len(each["cluster"]["worker"]) for each in told} == {2}


def test_one_process_fails(workspace: Workspace, tmp_path: Path) -> None:
    """When one process fails, the others are ended and the run fails."""
    script = "import os, sys, time\nsys.exit(7) if os.environ['RANK'] == '1' else time.sleep(600)\n"
    kind = PyTorchConfiguration(process_count=2, node_count=1, communication_backend="Gloo")
    folder = jobs.write(tmp_path / "src", script)
    config = ScriptRunConfig(
        str(folder), script="train.py", compute_target=jobs.cluster(workspace), distributed_job_config=kind
    )
    run = Experiment(workspace, "digits").submit(config)
    with pytest.raises(Exception, match="exit code 7"):
        run.wait_for_completion()
    assert "exit code 7" in str(run.get_details()["error"])


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_too_many_processes(workspace: Workspace, tmp_path: Path) -> None:
    """More than four processes, and more nodes than the cluster has, are refused at submit."""
    folder = jobs.write(tmp_path / "src", "print()\n")
    for kind in (MpiConfiguration(node_count=5), MpiConfiguration(node_count=3)):
        config = ScriptRunConfig(
            str(folder), script="train.py", compute_target=jobs.cluster(workspace, 2), distributed_job_config=kind
        )
        with pytest.raises(Exception, match=r"at most"):
            Experiment(workspace, "digits").submit(config)


@pytest.mark.parametrize(("path", "mode", "shown"), [
    ("one/a.csv", "mount", "file a.csv"),
    ("one/", "mount", "folder"),
    ("one/*.csv", "mount", "folder"),
    ("one/a.csv", "download", "folder"),
])  # fmt: skip
def test_an_input_of_one_file(workspace: Workspace, tmp_path: Path, path: str, mode: str, shown: str) -> None:
    """A mount of a dataset that is one file is that file; any other input is a folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("a\n1\n")
    store = workspace.get_default_datastore()
    store.upload(str(tmp_path / "data"), "one", show_progress=False)
    named = Dataset.File.from_files((store, path)).as_named_input("given")
    given = named.as_mount() if mode == "mount" else named.as_download()
    script = """
    import os, sys
    place = sys.argv[1]
    kind = f"file {os.path.basename(place)}" if os.path.isfile(place) else "folder"
    print("shown", kind, place == os.environ["given"])
    """
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", script), "local", given)
    assert jobs.wait(run) == "Completed"
    assert f"shown {shown} True" in jobs.log(run)
