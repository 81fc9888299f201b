from mnistkit.models.files import FORMATS as FORMATS
from mnistkit.models.linear import LinearModel as LinearModel
from mnistkit.models.persistence import TRUSTED_TYPES as TRUSTED_TYPES
from mnistkit.models.persistence import loads_model as loads_model
from mnistkit.models.persistence import save_model as save_model
from mnistkit.models.probe import Probe as Probe

__all__ = ["FORMATS", "TRUSTED_TYPES", "LinearModel", "Probe", "loads_model", "save_model"]
