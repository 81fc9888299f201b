from mnistkit.azureml.v2.compute import AmlCompute as AmlCompute
from mnistkit.azureml.v2.data import OpenDatasetsMnist as OpenDatasetsMnist
from mnistkit.azureml.v2.deployments import ManagedEndpoints as ManagedEndpoints
from mnistkit.azureml.v2.registry import WorkspaceRegistry as WorkspaceRegistry
from mnistkit.azureml.v2.workspace import connect as connect

__all__ = ["AmlCompute", "ManagedEndpoints", "OpenDatasetsMnist", "WorkspaceRegistry", "connect"]
