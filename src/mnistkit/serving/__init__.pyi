from mnistkit.serving.limits import ServerLimits as ServerLimits
from mnistkit.serving.server import ModelServer as ModelServer

__all__ = ["ModelServer", "ServerLimits"]
