"""For tests: the contracts of the interfaces as classes to subclass, and synthetic data.

Each suite needs one fixture and proves one implementation; the docstring of each of its tests is the promise that
it proves, and a failure names it. The fixtures ``mnistkit_home`` and ``tiny_mnist`` come with the pytest plugin,
without an import.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "compute_backend": ["ComputeBackendSuite"],
        "data": ["write_tiny_mnist"],
        "data_source": ["DataSourceSuite"],
        "deployment_target": ["DeploymentTargetSuite"],
        "group_backend": ["GroupBackendSuite"],
        "model_registry": ["ModelRegistrySuite"],
    },
)
