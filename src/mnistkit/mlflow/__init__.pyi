from mnistkit.mlflow.registry import MlflowRegistry as MlflowRegistry

__all__ = ["MlflowRegistry"]
