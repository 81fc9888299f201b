"""The real SDK runs pipelines: data between steps, parameters, reuse, sweeps, failures, cancellation."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("azureml.pipeline.steps")
pytest.importorskip("h11")

import sdk_jobs as jobs
from azureml.core import Dataset, Environment, Experiment, Run, ScriptRunConfig, Workspace
from azureml.data import OutputFileDatasetConfig
from azureml.data.data_reference import DataReference
from azureml.data.datapath import DataPath, DataPathComputeBinding
from azureml.data.dataset_consumption_config import DatasetConsumptionConfig
from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter, PipelineRun, TrainingOutput
from azureml.pipeline.steps import CommandStep, HyperDriveStep, HyperDriveStepRun, PythonScriptStep
from azureml.train.hyperdrive import GridParameterSampling, HyperDriveConfig, PrimaryMetricGoal, choice

SCRIPT = """
import json, os, pathlib, sys, time
from azureml.core import Run

given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
found = {}
for name, place in given.items():
    place = pathlib.Path(place)
    if name.startswith("--in"):
        files = [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.is_file())
        found[name] = {each.name: each.read_text() for each in files}
if "--out" in given:
    pathlib.Path(given["--out"], "made.txt").write_text("made with " + given["--text"])
if "--file" in given:
    pathlib.Path(given["--file"]).write_text("a file")
if "--table" in given:
    pathlib.Path(given["--table"], "rows.csv").write_text("a,b\\n1,2\\n")
if "--promoted" in given:
    folder = pathlib.Path(given["--promoted"])
    folder.mkdir(exist_ok=True)
    (folder / "promoted.txt").write_text("a dataset")
rows = Run.get_context().input_datasets.get("rows")
if rows:
    found["rows"] = rows.to_pandas_dataframe().astype(int).values.tolist()
print("found", json.dumps(found | {"text": given.get("--text"), "variable": os.environ.get("AML_PARAMETER_text")}))
run = Run.get_context()
run.log("inputs", len(found))
if "--x" in given:
    run.log("score", float(given["--x"]))
    pathlib.Path("outputs/model.txt").write_text(given["--x"])
run.flush()
time.sleep(float(given.get("--sleep", 0)))
sys.exit(int(given.get("--exit", 0)))
"""


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace for all of these tests, with a cluster; the current folder has the script and some data."""
    emulator = request.getfixturevalue("_azureml_address")
    folder = tmp_path_factory.mktemp("project")
    emulator.reset()
    emulator.write_config(folder)
    jobs.write(folder / "src", SCRIPT)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment().items():
            patch.setenv(name, value)
        patch.chdir(folder)
        workspace = Workspace.from_config()
        jobs.cluster(workspace)
        (folder / "data").mkdir()
        (folder / "data" / "a.txt").write_text("first")
        workspace.get_default_datastore().upload("data", "given", show_progress=False)
        yield workspace
        unknown = emulator.unknown_requests
        emulator.reset()
        assert unknown == ()


def step(name: str, *arguments: Any, **options: Any) -> PythonScriptStep:
    """A step that runs the script."""
    about = {"script_name": "train.py", "source_directory": "src", "compute_target": "cpu", **options}
    return PythonScriptStep(name=name, arguments=list(arguments), **about)


def submit(workspace: Workspace, steps: list[Any], **options: Any) -> PipelineRun:
    """The run of a pipeline."""
    return Experiment(workspace, "pipes").submit(Pipeline(workspace, steps), **options)


def wait(run: Run) -> str:
    """The state in which a run ends."""
    return str(run.wait_for_completion(show_output=False, raise_on_error=False))


def finish(run: PipelineRun) -> None:
    """Wait for a run that has to end well; its log says which step didn't."""
    state = wait(run)
    assert state == "Finished", [step.get_stdout_log()[-1500:] for step in run.get_steps()]


def states(run: PipelineRun) -> dict[str, str]:
    """The states of the steps that were started, by their names."""
    return {each.name: each.get_status() for each in run.get_steps()}


def found(run: PipelineRun, name: str) -> dict[str, Any]:
    """What the script of a step has found."""
    (of_step,) = run.find_step_run(name)
    (line,) = [each for each in of_step.get_stdout_log().splitlines() if each.startswith("found ")]
    told: dict[str, Any] = json.loads(line.removeprefix("found "))
    return told


def test_data_between_steps(project: Workspace, tmp_path: Path) -> None:
    """Steps get others' outputs, as datasets and as files, and data of the workspace; the same again is reused."""
    store = project.get_default_datastore()
    made = OutputFileDatasetConfig("made", destination=(store, "made/{run-id}")).register_on_complete("made-by-pipes")
    plain = PipelineData("plain", datastore=store)
    promoted = PipelineData("promoted", datastore=store).as_dataset()
    table = OutputFileDatasetConfig("table").read_delimited_files()
    reference = DataReference(store, "referred", path_on_datastore="given")
    given = Dataset.File.from_files((store, "given/a.txt"))
    first = step(
        "first", "--text", "x", "--out", made, "--file", plain, "--promoted", promoted, "--table", table,
        "--in-ref", reference, "--in-set", given.as_named_input("named").as_mount(),
        inputs=[reference], outputs=[plain, promoted],
    )  # fmt: skip
    consumed = promoted.as_named_input("consumed").as_mount()
    second = step(
        "second", "--in-made", made.as_input("brought"), "--in-plain", plain, "--in-promoted", consumed,
        inputs=[plain, consumed, table.as_input("rows")],
    )  # fmt: skip
    third = CommandStep(
        name="third", command=["ls", made.as_input("listed")], source_directory="src", compute_target="cpu"
    )
    run = submit(project, [first, second, third], tags={"a": "b"})
    finish(run)
    assert found(run, "first") == {
        "--in-ref": {"a.txt": "first"}, "--in-set": {"a.txt": "first"}, "text": "x", "variable": None
    }  # fmt: skip
    told = found(run, "second")
    assert (told["--in-made"], told["--in-plain"]) == ({"made.txt": "made with x"}, {"plain": "a file"})
    assert (told["--in-promoted"], told["rows"]) == ({"promoted.txt": "a dataset"}, [[1, 2]])
    assert "made.txt" in run.find_step_run("third")[0].get_stdout_log()
    (of_first,) = run.find_step_run("first")
    assert (of_first.get_metrics(), run.get_tags()) == ({"inputs": 2}, {"a": "b"})
    assert "user_logs/std_log.txt" in of_first.get_details_with_logs()["logFiles"]
    assert sorted(of_first.get_outputs()) == ["made", "plain", "promoted", "table"]
    assert of_first.get_output_data("made").download(str(tmp_path)) == 1
    assert Dataset.get_by_name(project, "made-by-pipes").to_path() == ["/made.txt"]
    assert {child.id for child in run.get_children()} == {each.id for each in run.get_steps()}
    again = submit(project, [first, second, third])
    assert wait(again) == "Finished"
    assert all(each._is_reused for each in again.get_steps())
    (reused,) = again.find_step_run("first")
    assert (reused.id != of_first.id, reused._reused_run_id) == (True, of_first.id)
    assert of_first.id in reused.get_stdout_log()
    assert reused.get_output_data("plain").path_on_datastore == of_first.get_output_data("plain").path_on_datastore


def test_parameters(project: Workspace) -> None:
    """Parameters have their defaults, or what is submitted: texts, paths in datastores, datasets."""
    store = project.get_default_datastore()
    (Path("data") / "b.txt").write_text("second")
    store.upload_files(["data/b.txt"], target_path="other", show_progress=False)
    text = PipelineParameter("text", "default")
    place = (PipelineParameter("place", DataPath(store, "given")), DataPathComputeBinding(mode="mount"))
    dataset = PipelineParameter("dataset", Dataset.File.from_files((store, "given/a.txt")))
    consumed = DatasetConsumptionConfig("consumed", dataset).as_mount()
    one = step("one", "--text", text, "--in-place", place, "--in-set", consumed, inputs=[place])
    run = submit(project, [one])
    finish(run)
    first = {"a.txt": "first"}
    assert found(run, "one") == {"--in-place": first, "--in-set": first, "text": "default", "variable": "default"}
    other = Dataset.File.from_files((store, "other/b.txt"))
    changed = {"text": "new", "place": DataPath(store, "other"), "dataset": other}
    run = submit(project, [one], pipeline_parameters=changed)
    finish(run)
    second = {"b.txt": "second"}
    assert found(run, "one") == {"--in-place": second, "--in-set": second, "text": "new", "variable": "new"}


def test_a_sweep_as_a_step(project: Workspace) -> None:
    """HyperDrive is a step; its metrics and the model of its best child go to the next."""
    store = project.get_default_datastore()
    script = ScriptRunConfig("src", script="train.py", compute_target="cpu", environment=Environment("mine"))
    sweep = HyperDriveConfig(
        run_config=script,
        hyperparameter_sampling=GridParameterSampling({"--x": choice(0.1, 0.9)}),
        primary_metric_name="score",
        primary_metric_goal=PrimaryMetricGoal.MAXIMIZE,
        max_total_runs=2,
    )
    metrics = PipelineData("metrics", store, pipeline_output_name="m", training_output=TrainingOutput("Metrics"))
    model = PipelineData("model", store, training_output=TrainingOutput("Model", model_file="outputs/model.txt"))
    tuned = HyperDriveStep(name="tuned", hyperdrive_config=sweep, outputs=[metrics, model])
    last = step("last", "--in-metrics", metrics, "--in-model", model, inputs=[metrics, model])
    run = submit(project, [tuned, last])
    finish(run)
    of_sweep = HyperDriveStepRun(run.find_step_run("tuned")[0])
    best = of_sweep.get_best_run_by_primary_metric()
    assert best.get_metrics()["score"] == 0.9
    told = found(run, "last")
    assert told["--in-model"] == {"model": "0.9"}
    logged = json.loads(told["--in-metrics"]["metrics"])
    assert {each["score"][0] for each in logged.values()} == {0.1, 0.9}
    assert run.get_pipeline_output("m").path_on_datastore.endswith("/metrics")


def test_a_failure(project: Workspace) -> None:
    """A failing step fails the pipeline and names it; what follows it isn't run, and others are if that is wanted."""
    bad = step("bad", "--exit", "3")
    after, other, third = step("after"), step("other"), step("third")
    after.run_after(bad)
    third.run_after(other)
    run = submit(project, [after, third], continue_on_step_failure=True)
    assert wait(run) == "Failed"
    assert "bad: User program failed with exit code 3" in run.get_details()["error"]["error"]["message"]
    assert states(run) == {"bad": "Failed", "other": "Finished", "third": "Finished"}
    with pytest.raises(Exception, match="exit code 3"):
        run.wait_for_completion(show_output=False)


def test_cancel(project: Workspace) -> None:
    """A canceled pipeline ends its running steps, and starts no more."""
    long, after = step("long", "--sleep", 600), step("never")
    after.run_after(long)
    run = submit(project, [after])
    end = time.monotonic() + jobs.PATIENCE
    while states(run) != {"long": "Running"}:
        assert time.monotonic() < end, states(run)
        time.sleep(0.2)
    run.cancel()
    assert wait(run) == "Canceled"
    assert states(run) == {"long": "Canceled"}
