"""The values of a pipeline's parameters: those that were submitted, over the defaults of its interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from mnistkit.emulator.payloads import check_types
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.datasets import Datasets

__all__ = ["Assignments", "saved_id"]

_DATASETS_KEY = "DataSetDefinitionValueAssignments"


@frozen(kw_only=True)
class Assignments:
    """The values of a pipeline's parameters.

    Attributes:
        texts: Of plain ones, by name.
        paths: Of those that are a path in a datastore: the datastore and the path.
        datasets: Of those that are datasets: the ids of their saved definitions.
        unknown: What was submitted besides, by name; Azure takes it too, and nothing comes of it.
    """

    texts: Mapping[str, str]
    paths: Mapping[str, tuple[str, str]]
    datasets: Mapping[str, str]
    unknown: Sequence[str]

    @classmethod
    def of(cls, interface: Mapping[str, Any], sent: Mapping[str, Any], datasets: Datasets) -> Assignments:
        """Read what was submitted.

        Args:
            interface: The ``GraphInterface`` of the pipeline.
            sent: What holds the assignments.
            datasets: Those of the workspace.

        Raises:
            Refusal: 400: one can't be read; 404: there is no such dataset.
        """
        texts = {each["Name"]: each.get("DefaultValue") for each in interface.get("Parameters") or ()}
        paths = {each["Name"]: each.get("DefaultValue") or {} for each in interface.get("DataPathParameters") or ()}
        saved = {each["Name"]: each.get("DefaultValue") for each in interface.get("DataPathParameterList") or ()}
        sections = {"ParameterAssignments": texts, "DataPathAssignments": paths, _DATASETS_KEY: saved}
        check_types(sent, **dict.fromkeys(sections, dict))
        return cls(
            unknown=[name for key, known in sections.items() for name in sent.get(key) or {} if name not in known],
            texts={name: _text(value) for name, value in _merged(texts, sent, "ParameterAssignments").items()},
            paths={name: _path(value) for name, value in _merged(paths, sent, "DataPathAssignments").items()},
            datasets={name: saved_id(value, datasets) for name, value in _merged(saved, sent, _DATASETS_KEY).items()},
        )

    @property
    def shown(self) -> dict[str, str]:
        """The values of plain parameters and of paths, as texts."""
        return {**self.texts, **{name: "/".join(value) for name, value in self.paths.items()}}


def saved_id(value: object, datasets: Datasets) -> str:
    """Return the id of the saved definition that a dataset's reference leads to.

    Raises:
        Refusal: 400: it can't be read; 404: there is no such dataset.
    """
    sent = value if isinstance(value, dict) else {}
    saved, registered = sent.get("SavedDataSetReference") or {}, sent.get("DataSetReference") or {}
    if saved.get("Id"):
        return str(datasets.get(saved["Id"])["id"])
    if registered.get("Id"):
        return str(datasets.registered(registered["Id"], registered.get("Version"))["id"])
    if registered.get("Name"):
        return str(datasets.find(registered["Name"], registered.get("Version"))["id"])
    raise Refusal(400, f"{value!r} isn't a reference to a dataset.")


def _merged(defaults: Mapping[str, Any], sent: Mapping[str, Any], key: str) -> dict[str, Any]:
    given = sent.get(key) or {}
    return {name: given.get(name, default) for name, default in defaults.items()}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _path(value: object) -> tuple[str, str]:
    if not isinstance(value, dict) or not value.get("DataStoreName"):
        raise Refusal(400, f"{value!r} isn't a path in a datastore.")
    return str(value["DataStoreName"]), str(value.get("RelativePath") or "")
