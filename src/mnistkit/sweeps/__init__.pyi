from mnistkit.sweeps.search import Halving as Halving
from mnistkit.sweeps.sweep import Sweep as Sweep
from mnistkit.sweeps.sweep import Trial as Trial

__all__ = ["Halving", "Sweep", "Trial"]
