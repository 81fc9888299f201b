"""The real SDK publishes pipelines, in endpoints too; they are submitted by REST as well. Schedules are recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("azureml.pipeline.steps")
pytest.importorskip("h11")

import requests
import sdk_jobs as jobs
from azureml.core import Experiment, Workspace
from azureml.pipeline.core import (
    Pipeline,
    PipelineEndpoint,
    PipelineParameter,
    PipelineRun,
    PublishedPipeline,
    Schedule,
    ScheduleRecurrence,
)
from azureml.pipeline.steps import CommandStep, DatabricksStep

from mnistkit.emulator import AzureMLEmulator


@pytest.fixture
def pipeline(workspace: Workspace, tmp_path: Path) -> Pipeline:
    """A pipeline of one step, with a parameter."""
    word = PipelineParameter("word", "hello")
    jobs.write(tmp_path / "src", "print()\n")
    source = str(tmp_path / "src")
    step = CommandStep(
        name="say", command=["echo", word], source_directory=source, compute_target=jobs.cluster(workspace)
    )
    return Pipeline(workspace, [step])


def ended(run: PipelineRun) -> tuple[str, str, Any]:
    """The state in which a run ends, what its step has said, and whether that was reused."""
    state = run.wait_for_completion(show_output=False)
    (step,) = run.find_step_run("say")
    return state, step.get_stdout_log().split("\n")[0], step._is_reused


def test_published(workspace: Workspace, pipeline: Pipeline) -> None:
    """A published pipeline is found, submitted by the SDK and by REST with a token, and disabled."""
    published = pipeline.publish(name="mine", description="says it", version="1.0")
    (listed,) = PublishedPipeline.list(workspace)
    assert (listed.id, listed.status, listed.version) == (published.id, "Active", "1.0")
    run = Experiment(workspace, "pipes").submit(published, pipeline_parameters={"word": "there"})
    assert ended(run) == ("Finished", "there", False)
    headers = workspace._auth_object.get_authentication_header()
    sent = {"ExperimentName": "rest", "ParameterAssignments": {"word": "there"}}
    answer = requests.post(published.endpoint, headers=headers, json=sent, timeout=30)
    by_rest = PipelineRun(Experiment(workspace, "rest"), answer.json()["Id"])
    state, said, reused = ended(by_rest)
    assert (state, reused) == ("Finished", True)
    assert run.find_step_run("say")[0].id in said
    assert {each.id for each in PipelineRun.get_pipeline_runs(workspace, published.id)} == {run.id, by_rest.id}
    assert requests.post(published.endpoint, json=sent, timeout=30).status_code == 401
    more = {**sent, "ParameterAssignments": {"word": "there", "other": 1}}
    answer = requests.post(published.endpoint, headers=headers, json=more, timeout=30)
    (warning,) = PipelineRun(Experiment(workspace, "rest"), answer.json()["Id"]).get_details()["warnings"]
    assert "no parameters ['other']" in warning["message"]
    published.disable()
    assert PublishedPipeline.list(workspace) == []
    with pytest.raises(Exception, match="Disabled"):
        published.submit(workspace, "pipes")


def test_endpoint(workspace: Workspace, pipeline: Pipeline) -> None:
    """An endpoint has versions and a default one, each of which can be submitted."""
    first, second = (pipeline.publish(name=name, description="says it", version="1") for name in ("one", "two"))
    endpoint = PipelineEndpoint.publish(workspace, name="both", pipeline=first, description="d")
    endpoint.add_default(second)
    assert [(each.version, each.pipeline.name) for each in endpoint.list_versions()] == [("0", "one"), ("1", "two")]
    found = PipelineEndpoint.get(workspace, name="both")
    assert (found.id, found.default_version) == (endpoint.id, "1")
    run = found.submit("pipes", pipeline_version="0")
    assert ended(run) == ("Finished", "hello", False)
    headers = workspace._auth_object.get_authentication_header()
    answer = requests.post(found.endpoint, headers=headers, json={"ExperimentName": "rest"}, timeout=30)
    assert PipelineRun.get(workspace, answer.json()["Id"]).properties["azureml.pipelineid"] == second.id
    by_name = found.endpoint.split("Id")[0] + "Name?name=both&pipelineVersion=0"
    answer = requests.post(by_name, headers=headers, json={"ExperimentName": "rest"}, timeout=30)
    assert PipelineRun.get(workspace, answer.json()["Id"]).properties["azureml.pipelineid"] == first.id
    found.set_default_version("0")
    assert PipelineEndpoint.get(workspace, id=endpoint.id).get_default_version() == "0"
    again = pipeline.submit("pipes", regenerate_outputs=True)
    assert ended(again) == ("Finished", "hello", False)
    found.disable()
    assert PipelineEndpoint.list(workspace) == []


def test_schedules(workspace: Workspace, pipeline: Pipeline) -> None:
    """Schedules are recorded, changed and disabled, for pipelines and endpoints; none starts a run."""
    published = pipeline.publish(name="mine", description="says it", version="1.0")
    daily = ScheduleRecurrence(frequency="Day", interval=2, hours=[22], minutes=[30])
    schedule = Schedule.create(
        workspace, "nightly", published.id, "pipes", recurrence=daily, wait_for_provisioning=True
    )
    (found,) = Schedule.get_schedules_for_pipeline_id(workspace, published.id)
    assert (found.id, found.recurrence.hours, found.status) == (schedule.id, [22], "Active")
    schedule.update(name="rarely", wait_for_provisioning=True)
    schedule.disable(wait_for_provisioning=True)
    assert Schedule.list(workspace) == []
    assert [each.name for each in Schedule.list(workspace, active_only=False)] == ["rarely"]
    assert (schedule.get_pipeline_runs(), schedule.get_last_pipeline_run()) == ([], None)
    store = workspace.get_default_datastore()
    watching = Schedule.create(workspace, "watch", published.id, "pipes", datastore=store)
    assert Schedule.get(workspace, watching.id).datastore_name == store.name
    endpoint = PipelineEndpoint.publish(workspace, name="both", pipeline=published, description="d")
    Schedule.create_for_pipeline_endpoint(workspace, "e", endpoint.id, "pipes", recurrence=daily)
    (of_endpoint,) = Schedule.get_schedules_for_pipeline_endpoint_id(workspace, endpoint.id)
    assert of_endpoint.name == "e"


@pytest.mark.azureml_emulator(allow_unknown=True)
def test_other_steps_are_refused(workspace: Workspace, emulator: AzureMLEmulator) -> None:
    """A step of another kind is refused at once, by its name, and noted."""
    step = DatabricksStep(
        "notebook", run_name="r", notebook_path="/n", existing_cluster_id="c", compute_target=jobs.cluster(workspace)
    )
    with pytest.raises(Exception, match="DatabricksStep"):
        Experiment(workspace, "pipes").submit(Pipeline(workspace, [step]))
    assert "DatabricksStep" in emulator.unknown_requests[0]
