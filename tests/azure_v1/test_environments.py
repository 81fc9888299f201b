"""The real SDK registers, gets and lists environments."""

from __future__ import annotations

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

from azureml.core import Environment, Workspace
from azureml.core.conda_dependencies import CondaDependencies


def environment(*packages: str) -> Environment:
    """An environment with these packages."""
    made = Environment("mine")
    made.python.conda_dependencies = CondaDependencies.create(pip_packages=list(packages))
    return made


def packages(found: Environment) -> list[str]:
    """The packages of an environment."""
    return list(found.python.conda_dependencies.pip_packages)


def test_register_and_get(workspace: Workspace) -> None:
    """What is registered can be got by name and version, and comes back as it was."""
    assert environment("scikit-learn==1.5.0").register(workspace).version == "1"
    assert environment("scikit-learn==1.6.0").register(workspace).version == "2"
    assert environment("scikit-learn==1.6.0").register(workspace).version == "2"
    assert "scikit-learn==1.6.0" in packages(Environment.get(workspace, "mine"))
    assert "scikit-learn==1.5.0" in packages(Environment.get(workspace, "mine", version="1"))


def test_list_and_label(workspace: Workspace) -> None:
    """Environments are listed by name; a label leads to its version."""
    environment("a-package").register(workspace)
    environment("b-package").register(workspace)
    Environment.label(workspace, "mine", "1", ["good"])
    assert "mine" in Environment.list(workspace)
    assert "a-package" in packages(Environment.get(workspace, "mine", label="good"))
    assert "mine" in workspace.environments


def test_what_is_not_there(workspace: Workspace) -> None:
    """An environment that isn't there is an error that names it."""
    with pytest.raises(Exception, match="Minimal"):
        Environment.get(workspace, "Minimal")
