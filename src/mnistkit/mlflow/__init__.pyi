from mnistkit.mlflow.mirroring import ImportedRuns as ImportedRuns
from mnistkit.mlflow.mirroring import import_runs as import_runs
from mnistkit.mlflow.mirroring import mirror_runs as mirror_runs
from mnistkit.mlflow.observer import MlflowRuns as MlflowRuns
from mnistkit.mlflow.registry import MlflowRegistry as MlflowRegistry

__all__ = ["ImportedRuns", "MlflowRegistry", "MlflowRuns", "import_runs", "mirror_runs"]
