"""Many runs: what a sweep tries, its result, how its jobs are run, and Optuna's samplers."""

from mnistkit.sweeps.search import Halving
from mnistkit.sweeps.sweep import Sweep, Trial

__all__ = ["Halving", "Sweep", "Trial"]
