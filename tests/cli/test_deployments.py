"""``mnistkit deploy`` and ``mnistkit deployments``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from mnistkit.trainer import Trainer

pytest.importorskip("flask", reason="the extra 'serve' isn't installed")

Program = Callable[..., Any]


def test_from_deploy_to_delete(trained: Trainer, mnistkit: Program) -> None:
    """A model is deployed, listed, called with its key, and deleted: what the tutorial's second part does."""
    url = mnistkit("deploy", "sklearn_mnist", "digits").out.strip()
    try:
        (listed,) = mnistkit("deployments", "list", "--json").json
        assert (listed["name"], listed["state"], listed["url"]) == ("digits", "Healthy", url)
        key = mnistkit("deployments", "keys", "digits").out.strip()
        rows = trained.dataset().test.X()[:3].tolist()
        answer = urllib3.request("POST", url, json={"data": rows}, headers={"Authorization": f"Bearer {key}"})
        assert len(answer.json()) == 3
        assert "sklearn_mnist:1" in mnistkit("deployments", "show", "digits").out
        mnistkit("deployments", "logs", "digits")
        again = mnistkit("deploy", "sklearn_mnist", "digits", code=1)
        assert "delete it first" in again.err
    finally:
        mnistkit("deployments", "delete", "digits", "--yes")
    assert mnistkit("deployments", "list", "--json").json == []
    assert "no deployment 'digits'" in mnistkit("deployments", "show", "digits", code=1).err.replace("\n", " ")
