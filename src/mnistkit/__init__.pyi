from mnistkit.config import Config as Config
from mnistkit.data.dataset import Dataset as Dataset
from mnistkit.data.source import DataSource as DataSource
from mnistkit.data.split import Split as Split
from mnistkit.errors import MnistkitError as MnistkitError
from mnistkit.evaluation.comparison import Comparison as Comparison
from mnistkit.evaluation.comparison import compare as compare
from mnistkit.evaluation.scores import Evaluation as Evaluation
from mnistkit.evaluation.scores import evaluate as evaluate
from mnistkit.jobs.environment import Environment as Environment
from mnistkit.jobs.fingerprint import Fingerprint as Fingerprint
from mnistkit.jobs.job import DATA_FOLDER as DATA_FOLDER
from mnistkit.jobs.job import ScriptJob as ScriptJob
from mnistkit.jobs.job import TrainingJob as TrainingJob
from mnistkit.jobs.provenance import Provenance as Provenance
from mnistkit.jobs.spec import ModelSpec as ModelSpec
from mnistkit.models.persistence import save_model as save_model
from mnistkit.plugins import load_dataset as load_dataset
from mnistkit.registry.export import export_model as export_model
from mnistkit.registry.loading import load_model as load_model
from mnistkit.registry.promotion import promote as promote
from mnistkit.registry.promotion import resolve_model as resolve_model
from mnistkit.registry.promotion import rollback as rollback
from mnistkit.registry.registry import ModelRegistry as ModelRegistry
from mnistkit.registry.search import search_models as search_models
from mnistkit.registry.verification import Verification as Verification
from mnistkit.registry.version import Assignment as Assignment
from mnistkit.registry.version import ModelVersion as ModelVersion
from mnistkit.runs.backend import ComputeBackend as ComputeBackend
from mnistkit.runs.context import RunContext as RunContext
from mnistkit.runs.context import get_context as get_context
from mnistkit.runs.record import RunRecord as RunRecord
from mnistkit.runs.record import RunState as RunState
from mnistkit.runs.reuse import ReuseDecision as ReuseDecision
from mnistkit.runs.run import Run as Run
from mnistkit.runs.run import best_run as best_run
from mnistkit.sweeps.search import Halving as Halving
from mnistkit.sweeps.sweep import Sweep as Sweep
from mnistkit.trainer.trainer import Trainer as Trainer

__version__: str

__all__ = [
    "DATA_FOLDER",
    "Assignment",
    "Comparison",
    "ComputeBackend",
    "Config",
    "DataSource",
    "Dataset",
    "Environment",
    "Evaluation",
    "Fingerprint",
    "Halving",
    "MnistkitError",
    "ModelRegistry",
    "ModelSpec",
    "ModelVersion",
    "Provenance",
    "ReuseDecision",
    "Run",
    "RunContext",
    "RunRecord",
    "RunState",
    "ScriptJob",
    "Split",
    "Sweep",
    "Trainer",
    "TrainingJob",
    "Verification",
    "__version__",
    "best_run",
    "compare",
    "evaluate",
    "export_model",
    "get_context",
    "load_dataset",
    "load_model",
    "promote",
    "resolve_model",
    "rollback",
    "save_model",
    "search_models",
]
