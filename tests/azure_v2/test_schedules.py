"""Schedules of the SDK v2: recorded, enabled and disabled, triggered by hand."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("azure.ai.ml")
pytest.importorskip("h11")

from azure.ai.ml import command, dsl
from azure.ai.ml.constants import TimeZone
from azure.ai.ml.entities import CronTrigger, JobSchedule, RecurrencePattern, RecurrenceTrigger
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

DEADLINE = 60.0
ENVIRONMENT = "azureml://registries/azureml/environments/sklearn-1.5/versions/1"


@pytest.fixture
def pipeline() -> Any:
    """A pipeline of one step."""
    step = command(name="hello", command="echo hello", environment=ENVIRONMENT).component

    @dsl.pipeline(default_compute="serverless")
    def hello() -> None:
        step()

    return hello()


def test_a_schedule_is_kept_and_never_due(workspace: Any, pipeline: Any) -> None:
    """A schedule is made, changed, disabled, listed by its state, and deleted once it is disabled; no job starts."""
    schedules = workspace.schedules
    every = RecurrenceTrigger(frequency="minute", interval=1, schedule=RecurrencePattern(hours=1, minutes=[0, 1]))
    made = schedules.begin_create_or_update(JobSchedule(name="often", trigger=every, create_job=pipeline)).result()
    assert (made.name, made.is_enabled, made.provisioning_state) == ("often", True, "Succeeded")
    cron = CronTrigger(expression="15 10 * * *", time_zone=TimeZone.UTC)
    schedules.begin_create_or_update(JobSchedule(name="daily", trigger=cron, create_job=pipeline)).result()
    daily = schedules.get("daily")
    daily.trigger.expression = "10 10 * * 1"
    assert schedules.begin_create_or_update(daily).result().trigger.expression == "10 10 * * 1"
    assert schedules.begin_disable("often").result().is_enabled is False
    assert [each.name for each in schedules.list()] == ["daily"]
    assert [each.name for each in schedules.list(list_view_type="DisabledOnly")] == ["often"]
    assert schedules.begin_enable("often").result().is_enabled is True
    with pytest.raises(HttpResponseError, match="disable it before you delete it"):
        schedules.begin_delete("often").result()
    schedules.begin_disable("often").result()
    schedules.begin_delete("often").result()
    with pytest.raises(ResourceNotFoundError):
        schedules.get("often")
    assert list(workspace.jobs.list()) == []


def test_a_trigger_starts_a_job(workspace: Any, pipeline: Any) -> None:
    """A schedule's trigger starts its pipeline once; that of a job which is there already starts that one again."""
    cron = CronTrigger(expression="0 0 1 1 *")
    workspace.schedules.begin_create_or_update(JobSchedule(name="new", trigger=cron, create_job=pipeline)).result()
    first = workspace.schedules.trigger("new").job_name
    again = JobSchedule(name="again", trigger=cron, create_job=workspace.jobs.get(first))
    workspace.schedules.begin_create_or_update(again).result()
    second = workspace.schedules.trigger("again").job_name
    assert first != second
    end = time.monotonic() + DEADLINE
    while {workspace.jobs.get(name).status for name in (first, second)} != {"Completed"}:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(list(workspace.jobs.list())) == 2
