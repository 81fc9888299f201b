from mnistkit.local.deployments import LocalDeployments as LocalDeployments
from mnistkit.local.processes.compute import ProcessCompute as ProcessCompute
from mnistkit.local.registry.registry import FolderRegistry as FolderRegistry
from mnistkit.local.threads import InProcessCompute as InProcessCompute

__all__ = [
    "FolderRegistry",
    "InProcessCompute",
    "LocalDeployments",
    "ProcessCompute",
]
