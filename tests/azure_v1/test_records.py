"""The real SDK and what is recorded alone: curated environments, images, secrets, compute instances."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import sdk_jobs as jobs
from azureml.core import Environment, Workspace
from azureml.core.compute import ComputeInstance, ComputeTarget

from mnistkit.emulator import Settings


@pytest.mark.parametrize("name", ["AzureML-Minimal", "azureml-sklearn-1.5", "AzureML-anything-at-all"])
def test_curated_environments(workspace: Workspace, name: str) -> None:
    """Every name of Azure's own environments has a record, which can be cloned and registered under another name."""
    found = Environment.get(workspace, name)
    assert (found.name, found.version) == (name, "1")
    assert Environment.get(workspace, name, version="7").version == "7"
    clone = found.clone("mine")
    clone.python.user_managed_dependencies = True
    assert clone.register(workspace).version == "1"
    assert {"mine", "AzureML-Minimal"} <= set(Environment.list(workspace))


@pytest.mark.azureml_emulator(settings=Settings(check_environment=True))
def test_a_job_in_a_curated_environment(workspace: Workspace, tmp_path: Path) -> None:
    """A job in such an environment runs; where environments are checked, its log says what can't be known."""
    environment = Environment.get(workspace, "AzureML-sklearn-1.0-ubuntu20.04-py38-cpu")
    folder = jobs.write(tmp_path / "src", "print('here')\n")
    run = jobs.submit(workspace, folder, jobs.cluster(workspace), environment=environment)
    assert jobs.wait(run) == "Completed"
    assert run.get_environment().name == environment.name
    assert "isn't known here" in jobs.log(run)


def test_images(workspace: Workspace) -> None:
    """An image is built at once, as far as the records say."""
    environment = Environment("mine").register(workspace)
    assert not environment.get_image_details(workspace).image_exist
    build = environment.build(workspace)
    build.wait_for_completion(show_output=False)
    assert build.status == "Succeeded"
    assert environment.get_image_details(workspace).image_exist
    environment.build(workspace, image_build_compute=jobs.cluster(workspace)).wait_for_completion(show_output=False)


def test_secrets(workspace: Workspace) -> None:
    """Secrets are set, got, listed by name and deleted."""
    vault = workspace.get_default_keyvault()
    vault.set_secret("pass-word", "tell nobody")
    vault.set_secrets({"other": "1", "third": "3"})
    assert vault.get_secret("pass-word") == "tell nobody"
    assert vault.get_secrets(["other", "nothing"]) == {"other": "1", "nothing": None}
    assert {each["name"] for each in vault.list_secrets()} == {"pass-word", "other", "third"}
    vault.set_secret("other", "2")
    assert vault.get_secret("other") == "2"
    vault.delete_secret("pass-word")
    assert {each["name"] for each in vault.list_secrets()} == {"other", "third"}


def test_compute_instances(workspace: Workspace, tmp_path: Path) -> None:
    """An instance is created, stopped, started, runs a job, and is deleted."""
    configuration = ComputeInstance.provisioning_configuration(vm_size="STANDARD_DS3_V2", ssh_public_access=False)
    instance = ComputeTarget.create(workspace, "my-instance", configuration)
    instance.wait_for_completion(show_output=False)
    assert instance.get_status().state == "Running"
    instance.stop()
    assert instance.get_status().state == "Stopped"
    instance.start()
    assert ComputeInstance(workspace, "my-instance").get_status().state == "Running"
    assert set(workspace.compute_targets) == {"my-instance"}
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", "print('here')\n"), "my-instance")
    assert jobs.wait(run) == "Completed"
    instance.delete(wait_for_completion=True)
    assert workspace.compute_targets == {}
