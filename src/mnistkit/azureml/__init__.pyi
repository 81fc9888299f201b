from mnistkit.azureml.v1.compute import AmlCompute as AmlCompute
from mnistkit.azureml.v1.data import OpenDatasetsMnist as OpenDatasetsMnist
from mnistkit.azureml.v1.deployments import AciDeployments as AciDeployments
from mnistkit.azureml.v1.registry import WorkspaceRegistry as WorkspaceRegistry
from mnistkit.azureml.v1.workspace import connect as connect

__all__ = ["AciDeployments", "AmlCompute", "OpenDatasetsMnist", "WorkspaceRegistry", "connect"]
