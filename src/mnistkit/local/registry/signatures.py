"""Signatures of registered versions: ``models/<name>/signatures/<N>/<key>.json``, put there once."""

from __future__ import annotations

import logging
import re

from mnistkit.errors import DataFormatError
from mnistkit.local.registry import durable as disk
from mnistkit.local.registry.layout import Layout
from mnistkit.registry.signing import Signature
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.serialization import from_json, to_json

__all__ = ["put_signature", "read_signatures"]

_log = logging.getLogger(__name__)

_FILE = re.compile(r"[0-9a-f]{16}\.json")


def put_signature(layout: Layout, model: ModelVersion, signature: Signature) -> None:
    """Keep a signature; the first of each key stays.

    Raises:
        StorageError: The registry can't be written.
    """
    file = layout.path("models", model.name, "signatures", str(model.version), f"{signature.key}.json")
    with layout.writing() as staging:
        disk.make_folder(file.parent)
        disk.put_if_absent(file, to_json(signature), staging)
        layout.settle(file.parent)


def read_signatures(layout: Layout, model: ModelVersion) -> tuple[Signature, ...]:
    """The signatures of a version, by key; those that can't be read are left out, with a warning in the log."""
    place = ("models", model.name, "signatures", str(model.version))
    found: list[Signature] = []
    for entry in sorted(filter(_FILE.fullmatch, layout.entries(*place))):
        path = layout.path(*place, entry)
        try:
            signature: Signature = from_json(disk.read_regular(path), Signature, path)
        except (OSError, DataFormatError) as error:
            _log.warning("Left out of the signatures of %s: %s", model.id, error)
            continue
        if entry == f"{signature.key}.json":
            found.append(signature)
    return tuple(found)
