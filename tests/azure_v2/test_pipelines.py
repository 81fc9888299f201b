"""Pipeline jobs of the SDK v2: what flows between steps, sweeps as steps, failures, cancellation, and refusals."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from azure.ai.ml import Input, Output, command, dsl, load_component
from azure.ai.ml.sweep import Choice
from azure.core.exceptions import HttpResponseError

DEADLINE = 120.0
ENVIRONMENT = "azureml://registries/azureml/environments/sklearn-1.5/versions/1"
COMPONENT = """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: double
version: "1"
inputs:
  text: {type: uri_folder}
  times: {type: integer, default: 2}
  suffix: {type: string, optional: true}
outputs:
  text: {type: uri_folder}
code: ./code
environment: azureml://registries/azureml/environments/sklearn-1.5/versions/1
command: >-
  python double.py ${{inputs.text}} ${{outputs.text}} ${{inputs.times}} $[[${{inputs.suffix}}]]
"""
DOUBLE = """
import pathlib, sys
text = pathlib.Path(sys.argv[1], "text.txt").read_text()
pathlib.Path(sys.argv[2], "text.txt").write_text(text * int(sys.argv[3]) + "".join(sys.argv[4:]))
"""


@pytest.fixture
def double(tmp_path: Path) -> Any:
    """A component from YAML, with a script beside it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "double.py").write_text(DOUBLE)
    (tmp_path / "double.yml").write_text(COMPONENT)
    return load_component(tmp_path / "double.yml")


def step(text: str, /, **inputs: Any) -> Any:
    """Return a component of a command line, with an output ``text``."""
    return command(
        name="write", command=text, inputs=inputs, outputs={"text": Output(type="uri_folder")}, environment=ENVIRONMENT
    ).component


def ended(client: Any, name: str) -> Any:
    """Return a job when it has ended."""
    end = time.monotonic() + DEADLINE
    while (job := client.jobs.get(name)).status not in {"Completed", "Failed", "Canceled"}:
        assert time.monotonic() < end, job.status
        time.sleep(0.2)
    return job


def states(client: Any, name: str) -> dict[str, str]:
    """Return the states of a pipeline's steps by their names."""
    return {child.display_name: child.status for child in client.jobs.list(parent_job_name=name)}


def test_steps_pass_files_on(workspace: Any, double: Any, tmp_path: Path) -> None:
    """Inputs, defaults, optional inputs and outputs flow; a registered component is used as one from a file."""
    workspace.components.create_or_update(double)
    registered = workspace.components.get("double", version="1")
    write = step("echo -n ${{inputs.word}} > ${{outputs.text}}/text.txt", word=Input(type="string"))

    @dsl.pipeline(default_compute="serverless", description="three steps")
    def pipeline(word, times=3):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - the SDK can't read texts
        first = write(word=word)
        second = double(text=first.outputs.text, times=times)
        third = registered(text=second.outputs.text, suffix="!")
        return {"final": third.outputs.text}

    job = workspace.jobs.create_or_update(pipeline(word="ab"), experiment_name="pipes")
    assert ended(workspace, job.name).status == "Completed"
    assert states(workspace, job.name) == dict.fromkeys(["first", "second", "third"], "Completed")
    components = {each.properties["azureml.moduleName"] for each in workspace.jobs.list(parent_job_name=job.name)}
    assert components == {"write", "double"}
    assert [each.name for each in workspace.jobs.list()] == [job.name]
    workspace.jobs.download(job.name, output_name="final", download_path=tmp_path / "down")
    assert (tmp_path / "down" / "named-outputs" / "final" / "text.txt").read_text() == "ab" * 6 + "!"


def test_a_step_passes_a_value_on(workspace: Any, tmp_path: Path) -> None:
    """An output that is a text goes from the properties of a step's run to the next step; the steps can be got."""
    note = (
        "python -c 'import json,os,urllib.request as u;"
        'b=json.dumps(dict(properties={"azureml.pipeline.control":json.dumps(dict(word="ab"))}));'
        'p=os.environ["MLFLOW_TRACKING_URI"].replace("azureml:","https:").replace("mlflow/v2.0","history/v1.0");'
        'p+="/experimentids/"+os.environ["MLFLOW_EXPERIMENT_ID"]+"/runs/"+os.environ["MLFLOW_RUN_ID"];'
        'h={"Authorization":"Bearer "+os.environ["MLFLOW_TRACKING_TOKEN"]};'
        'u.urlopen(u.Request(p,b.encode(),h,method="PATCH"))\' && echo -n ab > ${{outputs.word}}'
    )
    say = command(name="say", command=note, outputs={"word": Output(type="string")}, environment=ENVIRONMENT).component
    write = step("echo -n ${{inputs.word}} > ${{outputs.text}}/text.txt", word=Input(type="string"))

    @dsl.pipeline(default_compute="serverless")
    def pipeline() -> Any:
        said = say()
        return {"final": write(word=said.outputs.word).outputs.text}

    job = workspace.jobs.create_or_update(pipeline(), experiment_name="pipes")
    assert ended(workspace, job.name).status == "Completed"
    children = {
        each.display_name: workspace.jobs.get(each.name) for each in workspace.jobs.list(parent_job_name=job.name)
    }
    assert {name: child.status for name, child in children.items()} == dict.fromkeys(["said", "write"], "Completed")
    workspace.jobs.download(job.name, output_name="final", download_path=tmp_path / "down")
    assert (tmp_path / "down" / "named-outputs" / "final" / "text.txt").read_text() == "ab"


def test_a_sweep_is_a_step(workspace: Any, tmp_path: Path) -> None:
    """A sweep's best trial passes its output on."""
    log = (
        "python -c 'import json,os,urllib.request as u; "
        'b=json.dumps(dict(run_id=os.environ["MLFLOW_RUN_ID"],key="score",value=${{inputs.x}},timestamp=1,step=0));'
        'r=u.Request(os.environ["MLFLOW_TRACKING_URI"].replace("azureml:","https:")+"/api/2.0/mlflow/runs/log-metric",'
        'b.encode(),{"Authorization":"Bearer "+os.environ["MLFLOW_TRACKING_TOKEN"]}); u.urlopen(r)\''
        " && echo -n ${{inputs.x}} > ${{outputs.text}}/text.txt"
    )
    score = step(log, x=Input(type="number"))
    copy = step("cp ${{inputs.text}}/text.txt ${{outputs.text}}/", text=Input(type="uri_folder"))

    @dsl.pipeline(default_compute="serverless")
    def pipeline() -> Any:
        best = score(x=Choice([1, 5, 3])).sweep(primary_metric="score", goal="maximize", sampling_algorithm="grid")
        best.set_limits(max_total_trials=3, max_concurrent_trials=3)
        last = copy(text=best.outputs.text)
        return {"final": last.outputs.text, "best": best.outputs.text}

    job = workspace.jobs.create_or_update(pipeline(), experiment_name="pipes")
    assert ended(workspace, job.name).status == "Completed"
    for output in ("final", "best"):
        workspace.jobs.download(job.name, output_name=output, download_path=tmp_path / "down")
        assert (tmp_path / "down" / "named-outputs" / output / "text.txt").read_text() == "5"


def test_a_step_that_fails_ends_the_pipeline(workspace: Any, double: Any) -> None:
    """What depends on a failed step is never started, and the pipeline says which step it was."""
    write = step("exit 3 # ${{outputs.text}}")

    @dsl.pipeline(default_compute="serverless")
    def pipeline() -> None:
        first = write()
        double(text=first.outputs.text)

    job = workspace.jobs.create_or_update(pipeline(), experiment_name="pipes")
    assert ended(workspace, job.name).status == "Failed"
    assert states(workspace, job.name) == {"first": "Failed"}


def test_a_pipeline_is_canceled(workspace: Any) -> None:
    """Canceling a pipeline ends its running steps."""
    write = step("sleep 60 # ${{outputs.text}}")

    @dsl.pipeline(default_compute="serverless")
    def pipeline() -> None:
        write()

    job = workspace.jobs.create_or_update(pipeline(), experiment_name="pipes")
    end = time.monotonic() + DEADLINE
    while "Running" not in states(workspace, job.name).values():
        assert time.monotonic() < end
        time.sleep(0.1)
    workspace.jobs.begin_cancel(job.name).wait()
    assert ended(workspace, job.name).status == "Canceled"
    assert set(states(workspace, job.name).values()) == {"Canceled"}


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_what_is_not_emulated_is_refused(workspace: Any) -> None:
    """A component of a registry is refused when the pipeline is submitted, and nothing is made."""
    component = step("echo ${{outputs.text}}")

    @dsl.pipeline(default_compute="serverless")
    def pipeline() -> None:
        component()

    described = pipeline()
    node = next(iter(described.jobs.values()))
    node._component = "azureml://registries/azureml/components/x/versions/1"
    with pytest.raises(HttpResponseError, match="Registries aren't emulated"):
        workspace.jobs.create_or_update(described, experiment_name="pipes", skip_validation=True)
    assert list(workspace.jobs.list()) == []
