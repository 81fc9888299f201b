"""Tests of the backends on the SDK v2, which must be installed: the extra ``azure``."""

from __future__ import annotations

import importlib.util

import pytest

_SDK_NOISE = (
    "ignore::DeprecationWarning",  # marshmallow 4 and others announce changes to the SDK's authors
    "ignore:.*marshmallow.*",
)

collect_ignore_glob = []
if importlib.util.find_spec("azure") is None or importlib.util.find_spec("azure.ai") is None:
    collect_ignore_glob.append("test_*.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK's own warnings are no failures of ours."""
    for item in items:
        if "azure_v2" in item.path.parts:
            for line in _SDK_NOISE:
                item.add_marker(pytest.mark.filterwarnings(line), append=False)
