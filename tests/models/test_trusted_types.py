"""The types that are trusted beyond skops's own list, read as an attacker would: what runs, and grows, as they load.

skops makes an object of such a type without calling ``__init__``: it calls ``__new__``, then ``__setstate__`` if there
is one, else it fills ``__dict__``. So a type is harmless to load if none of these is its own: nothing else of it runs.
What the review of each found:

- our estimators, `_SigmoidCalibration` and `_TemperatureScaling`: `BaseEstimator.__setstate__` fills ``__dict__``, and
  warns of another version. Numbers in them count when they fit or predict; fitting never happens as a model loads.
- `ColumnSelector`: a callable that is called when a ``ColumnTransformer`` is fitted; it looks up three names in numpy.
- the splitters and optimizers: parameters alone, read by searches and perceptrons when they fit.
- `Bunch`: a dict whose ``__setstate__`` ignores what it is given.
- `_PassthroughScorer`, `_CalibratedClassifier`, `MetadataRequest`, `MethodMetadataRequest`: plain attributes.
"""

from __future__ import annotations

import importlib
import io
import json
import resource
import time
import zipfile
from typing import Any

import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch

from mnistkit.errors import ModelError, UnsafeModelError
from mnistkit.models.archives import check_skops
from mnistkit.models.persistence import TRUSTED_TYPES, loads_model

HOOKS = {"__new__", "__setstate__", "__reduce__", "__reduce_ex__", "__del__", "__getattribute__", "__setattr__",
         "__getnewargs__", "__getnewargs_ex__", "__set_name__"}  # fmt: skip
HARMLESS = {(BaseEstimator, "__setstate__"), (Bunch, "__setstate__"), (Bunch, "__setattr__"), (dict, "__new__")}
MAX_SECONDS = 1.0
MAX_GROWTH_KIB = 64 << 10
HUGE = 10**18


def _class_of(name: str) -> Any:
    module, _, qualified = name.rpartition(".")
    return getattr(importlib.import_module(module), qualified, None)


@pytest.mark.parametrize("name", TRUSTED_TYPES)
def test_nothing_of_a_trusted_type_runs_as_it_loads(name: str) -> None:
    """A release of scikit-learn that gives one a hook of its own is to be reviewed again."""
    cls = _class_of(name)
    if cls is None:
        pytest.skip(f"this release has no {name}")
    mixed = [base for base in cls.__mro__ if base is not object]
    found = {(base, hook) for base in mixed for hook in HOOKS & vars(base).keys() if base is not dict}
    assert found <= HARMLESS, found


def _node(value: Any, number: int) -> dict[str, Any]:
    return {"__class__": type(value).__name__, "__module__": "builtins", "__loader__": "JsonNode",
            "content": json.dumps(value), "is_json": True, "__id__": number}  # fmt: skip


def _list(items: list[Any], number: int) -> dict[str, Any]:
    return {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": items, "__id__": number}


def _dict(values: dict[str, Any], number: int) -> dict[str, Any]:
    key = {"__class__": "str", "__module__": "builtins", "__loader__": "TypeNode", "__id__": number + 1}
    content = {name: _node(value, number + 3 + i) for i, (name, value) in enumerate(values.items())}
    keys = _list([key] * len(values), number + 2)
    return {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "key_types": keys,
            "content": content, "__id__": number}  # fmt: skip


def _packed(root: dict[str, Any], files: dict[str, bytes] | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in (files or {}).items():
            archive.writestr(name, data)
        archive.writestr("schema.json", json.dumps({**root, "protocol": 2, "_skops_version": skops.__version__}))
    return stream.getvalue()


@pytest.mark.parametrize("name", TRUSTED_TYPES)
def test_a_forged_state_allocates_nothing(name: str) -> None:
    """Whatever numbers its attributes have, loading takes neither time nor memory; no state is another error."""
    module, _, qualified = name.rpartition(".")
    names = {*vars(LogisticRegression()), "n_splits", "n_repeats", "orientations", "cells", "n_landmarks"}
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for content in (_dict(dict.fromkeys(names, HUGE), 100), _list([_node(HUGE, 2)], 1), _node("x" * 1000, 1), None):
        root = {
            "__class__": qualified,
            "__module__": module,
            "__loader__": "ObjectNode",
            "content": content,
            "__id__": 7,
        }
        try:
            loads_model(_packed(root), "skops")
        except ModelError as error:
            str(error).encode()
    assert time.process_time() - start < MAX_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KIB


def _array(file: str, number: int | None) -> dict[str, Any]:
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": file}
    return node if number is None else {**node, "__id__": number}


@pytest.mark.parametrize("numbers", [range(1, 200), [0] * 199, [None] * 199], ids=["ids", "falsy ids", "no ids"])
@pytest.mark.parametrize("loader", ["NdArrayNode", "BytesNode", "BytearrayNode"])
def test_references_to_a_file_do_not_multiply_it(loader: str, numbers: Any) -> None:
    """Each object that names a file would get its own copy of it: 199 of 1 MiB, of which the archive has one."""
    import numpy as np

    stream = io.BytesIO()
    np.save(stream, np.zeros(1 << 17))
    nodes = [{**_array("a.npy", number), "__loader__": loader} for number in numbers]
    data = _packed(_list(nodes, 1000), {"a.npy": stream.getvalue()})
    with pytest.raises(UnsafeModelError, match="references"):
        check_skops(data, "it")
    same = _packed(_list([_array("a.npy", 5)] * 199, 1000), {"a.npy": stream.getvalue()})
    arrays = loads_model(same, "skops")
    assert all(array is arrays[0] for array in arrays)


def test_a_message_lists_few_types() -> None:
    """A file can name a hundred thousand types."""
    nodes = [{"__class__": f"C{i}", "__module__": "evil", "__loader__": "ObjectNode", "content": None, "__id__": i + 1}
             for i in range(2000)]  # fmt: skip
    with pytest.raises(UnsafeModelError, match="2000 types") as error:
        loads_model(_packed(_list(nodes, 10_000)), "skops")
    assert len(str(error.value)) < 3000
