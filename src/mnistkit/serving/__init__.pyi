from mnistkit.serving.deployment import Deployment as Deployment
from mnistkit.serving.deployment import deploy_model as deploy_model
from mnistkit.serving.limits import ServerLimits as ServerLimits
from mnistkit.serving.package import PackagedModel as PackagedModel
from mnistkit.serving.package import PackageRegistry as PackageRegistry
from mnistkit.serving.packaging import package_model as package_model
from mnistkit.serving.server import ModelServer as ModelServer

__all__ = [
    "Deployment",
    "ModelServer",
    "PackageRegistry",
    "PackagedModel",
    "ServerLimits",
    "deploy_model",
    "package_model",
]
