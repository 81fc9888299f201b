from mnistkit.testing.compute_backend import ComputeBackendSuite as ComputeBackendSuite
from mnistkit.testing.data import write_tiny_mnist as write_tiny_mnist
from mnistkit.testing.data_source import DataSourceSuite as DataSourceSuite
from mnistkit.testing.deployment_target import DeploymentTargetSuite as DeploymentTargetSuite
from mnistkit.testing.group_backend import GroupBackendSuite as GroupBackendSuite
from mnistkit.testing.model_registry import ModelRegistrySuite as ModelRegistrySuite

__all__ = [
    "ComputeBackendSuite",
    "DataSourceSuite",
    "DeploymentTargetSuite",
    "GroupBackendSuite",
    "ModelRegistrySuite",
    "write_tiny_mnist",
]
