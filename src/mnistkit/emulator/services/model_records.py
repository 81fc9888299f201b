"""The records of models, and of the assets that they are made of."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from mnistkit.emulator.payloads import check_texts, check_types, now
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.store import Store

__all__ = ["ASSET_KEYS", "ASSET_PREFIX", "MODEL_KEYS", "NAME_PATTERN", "ModelRecords", "check_model", "parts_of"]

NAME_PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
ASSET_PREFIX = "aml://asset/"
ASSET_KEYS = ("id", "name", "type", "description", "artifacts", "kvTags", "properties", "runid", "meta")
MODEL_KEYS = (
    "name", "url", "mimeType", "description", "framework", "frameworkVersion", "datasets", "unpack", "parentModelId",
    "runId", "experimentName", "kvTags", "properties", "sampleInputData", "sampleOutputData", "resourceRequirements",
)  # fmt: skip
_TEXT_KEYS = (
    "description",
    "framework",
    "frameworkVersion",
    "runId",
    "experimentName",
    "sampleInputData",
    "sampleOutputData",
)


class ModelRecords:
    """Names with numbered versions.

    A version's number is never given twice, not even after it is deleted.
    """

    def __init__(self, store: Store) -> None:
        self._models, self._assets = store.table("models"), store.table("assets")
        self._numbers, self._services = store.table("model_numbers"), store.table("webservices")
        self._lock = store.lock

    def get(self, model_id: str) -> dict[str, Any]:
        """Return a model, by ``name:version``.

        Raises:
            Refusal: 404, if there is none.
        """
        try:
            return self._models[model_id]
        except KeyError:
            raise Refusal(404, f"There is no model {model_id!r}.", code="ModelNotFound") from None

    def find(self, model_id: str) -> dict[str, Any] | None:
        """Return a model, by ``name:version``; None if there is none."""
        return self._models.get(model_id)

    def last_number(self, name: str) -> int:
        """Return the highest number that a version of a name was given; 0 if there was none."""
        return int(self._numbers.get(name, {"last": 0})["last"])

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted({model["name"] for model in self._models.views()})

    def versions(self, name: str) -> list[Mapping[str, Any]]:
        """Return the versions of a name, the oldest first; they must not be changed."""
        return sorted(
            (model for model in self._models.views() if model["name"] == name), key=lambda model: model["version"]
        )

    def artifacts(self, model_id: str) -> list[tuple[str, str, str]]:
        """Return the origin, container and path (or prefix of paths) of each artifact of a model.

        Raises:
            Refusal: 404, if there is no such model, or its asset is gone.
        """
        asset = self.asset(self.get(model_id)["url"].removeprefix(ASSET_PREFIX))
        return [parts_of(artifact.get("id") or artifact["prefix"]) for artifact in asset["artifacts"]]

    def asset(self, asset_id: str) -> dict[str, Any]:
        """Return an asset.

        Raises:
            Refusal: 404, if there is none.
        """
        try:
            return self._assets[asset_id]
        except KeyError:
            raise Refusal(404, f"There is no asset {asset_id!r}.", code="AssetNotFound") from None

    def add_asset(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return a new asset.

        Raises:
            Refusal: 400: it names no artifacts.
        """
        for artifact in sent["artifacts"]:
            parts_of((artifact.get("id") or artifact.get("prefix")) if isinstance(artifact, dict) else None)
        asset = {**dict.fromkeys(ASSET_KEYS), **sent, "id": uuid.uuid4().hex, "createdTime": now()}
        self._assets[asset["id"]] = asset
        return asset

    def add(self, name: str, prefixes: Sequence[str], **fields: Any) -> dict[str, Any]:
        """Return a new version of a name, made of the artifacts below some prefixes.

        Raises:
            Refusal: 400: these can't be prefixes, or the fields can't be a model's.
        """
        asset = self.add_asset({"name": name, "artifacts": [{"prefix": prefix} for prefix in prefixes]})
        about = {"name": name, "url": f"{ASSET_PREFIX}{asset['id']}", "mimeType": "application/x-python"}
        return self.add_version({**about, "unpack": False, **fields})

    def add_version(self, sent: Mapping[str, Any], *, number: int | None = None) -> dict[str, Any]:
        """Return a new version of a model, of an asset that is there.

        Args:
            sent: Its fields.
            number: Its version; None for the next one.

        Raises:
            Refusal: 404: there is no such asset; 400: these can't be a model's fields; 409: the number is taken.
        """
        self.asset(sent["url"].removeprefix(ASSET_PREFIX))
        check_model(sent)
        name = sent["name"]
        with self._lock:
            last = self.last_number(name)
            version = last + 1 if number is None else number
            if f"{name}:{version}" in self._models:
                raise Refusal(409, f"There is a version {version} of {name!r} already.", code="Conflict")
            self._numbers[name] = {"last": max(last, version)}
            time = now()
            model = {
                **dict.fromkeys(MODEL_KEYS),
                **sent,
                "kvTags": sent.get("kvTags") or {},
                "properties": sent.get("properties") or {},
                "datasets": sent.get("datasets") or [],
                "id": f"{name}:{version}",
                "version": version,
                "createdTime": time,
                "modifiedTime": time,
                "derivedModelIds": [],
                "createdBy": {"userName": "emulator", "userObjectId": None},
            }
            self._models[model["id"]] = model
        return model

    def change(self, model_id: str, **changes: Any) -> dict[str, Any]:
        """Return a model after a change.

        Raises:
            Refusal: 404: there is none; 400: it can't be a model then.
        """
        with self._lock:
            model = {**self.get(model_id), **changes, "modifiedTime": now()}
            check_model(model)
            self._models[model_id] = model
        return model

    def delete(self, model_id: str) -> bool:
        """Delete a model; return False if there is none.

        Raises:
            Refusal: 400: a web service serves it.
        """
        with self._lock:
            users = [service["name"] for service in self._services.values() if model_id in service["modelIds"]]
            if users:
                raise Refusal(400, f"Model {model_id!r} can't be deleted: the web services {users} serve it.")
            return self._models.pop(model_id, None) is not None


def parts_of(place: object) -> tuple[str, str, str]:
    """Return the origin, container and path of an artifact's id or of a prefix.

    Raises:
        Refusal: 400: it isn't one.
    """
    parts = place.split("/", 2) if isinstance(place, str) else []
    if len(parts) != 3 or not all(parts) or ".." in parts[2].split("/"):  # noqa: PLR2004 - origin, container, path
        raise Refusal(400, f"{place!r} isn't the id or prefix of an artifact: origin/container/path.")
    return parts[0], parts[1], parts[2]


def check_model(model: Mapping[str, Any]) -> None:
    """Check the types of a model's fields.

    Raises:
        Refusal: 400: one is wrong.
    """
    check_types(model, **dict.fromkeys(_TEXT_KEYS, str))
    check_texts(model, "kvTags", "properties")
    datasets = model.get("datasets") or []
    if not isinstance(datasets, list) or not all(isinstance(one, dict) and one.get("id") for one in datasets):
        raise Refusal(400, "A model's datasets are a list of names and ids.")
