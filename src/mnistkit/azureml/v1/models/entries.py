"""What there is of each model in a workspace, read from its records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from mnistkit.azureml.v1.models.assets import StoredModel, stored_models
from mnistkit.azureml.v1.models.events import Event, Ledger, ledger_name, model_name, read_events, unpack
from mnistkit.errors import IntegrityError, InvalidNameError, ModelNotFoundError
from mnistkit.registry.manifest import read_version
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.names import check_name

__all__ = ["MANIFEST", "NONCE", "Shelf", "all_shelves", "missing", "read_stored", "shelf_of"]

MANIFEST = "manifest"
"""What the manifest is called among the properties of a version."""

NONCE = "mnistkit.nonce"
"""The property that tells a registration from all others."""


@frozen
class Shelf:
    """What there is of one model.

    Attributes:
        name: The model.
        models: Its versions by number, also those that count as deleted.
        ledger: What happened to them.
    """

    name: str
    models: Mapping[int, StoredModel] = field(factory=dict)
    ledger: Ledger = field(factory=Ledger)

    @property
    def live(self) -> list[int]:
        """The versions that aren't deleted, newest first."""
        return sorted(self.models.keys() - self.ledger.deleted, reverse=True)

    @property
    def top(self) -> int:
        """The highest number that was given."""
        return max(self.models.keys() | self.ledger.deleted, default=0)


def shelf_of(workspace: Any, name: str) -> Shelf:
    """What there is of a model; two requests."""
    models = {model.version: model for model in stored_models(workspace, name)}
    return Shelf(name, models, Ledger.of(_events(stored_models(workspace, ledger_name(name)))))


def all_shelves(workspace: Any) -> dict[str, Shelf]:
    """What there is, by name; names that break our rule are left out."""
    models: dict[str, dict[int, StoredModel]] = {}
    entries: dict[str, list[StoredModel]] = {}
    for each in stored_models(workspace):
        owner = model_name(each.name)
        if owner is not None:
            entries.setdefault(owner, []).append(each)
        elif _is_good(each.name):
            models.setdefault(each.name, {})[each.version] = each
    names = [name for name in models.keys() | entries.keys() if _is_good(name)]
    return {
        name: Shelf(name, models.get(name, {}), Ledger.of(_events(entries.get(name, ())))) for name in sorted(names)
    }


def read_stored(stored: StoredModel, place: str) -> ModelVersion:
    """The version that a record describes; one that was registered without mnistkit has no digest and no files.

    Raises:
        IntegrityError: Its manifest was altered.
    """
    source = f"{stored.name}:{stored.version}"
    location = f"{place}/models/{stored.name}/versions/{stored.version}"
    text = unpack(MANIFEST, stored.properties, source)
    if text is None and NONCE in stored.properties:
        raise IntegrityError(f"{source} has lost its manifest: its properties in {place} were altered.")
    if text is not None:
        model = read_version(text.encode(), stored.version, location, source)
        if model.name != stored.name:
            raise IntegrityError(f"{source} has the manifest of {model.name!r}.")
        return model
    return ModelVersion(
        name=stored.name,
        version=stored.version,
        created_at=stored.created_at,
        format="files",
        files={},
        digest="",
        tags=stored.tags,
        description=stored.description,
        run_id=stored.run_id,
        location=location,
    )


def missing(workspace: Any, shelf: Shelf, version: int | None, place: str) -> ModelNotFoundError:
    """The error for a version that isn't there; lists what is."""
    if not shelf.top:
        known = ", ".join(name for name, each in all_shelves(workspace).items() if each.live) or "none yet"
        return ModelNotFoundError(f"No model {shelf.name!r} in {place}. Its models: {known}.")
    known = ", ".join(map(str, reversed(shelf.live))) or "none"
    was = version is not None and 1 <= version <= shelf.top
    lost = "were deleted" if version is None else "was deleted" if was else "never was"
    what = "All versions" if version is None else f"Version {version}"
    return ModelNotFoundError(f"{what} of model {shelf.name!r} {lost}. The versions there are: {known}.")


def _events(entries: Iterable[StoredModel]) -> list[Event]:
    return read_events([(each.properties, f"{each.name}:{each.version}") for each in entries])


def _is_good(name: str) -> bool:
    try:
        check_name(name, "model name")
    except InvalidNameError:
        return False
    return True
