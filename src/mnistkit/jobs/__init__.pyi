from mnistkit.jobs.environment import Environment as Environment
from mnistkit.jobs.fingerprint import Difference as Difference
from mnistkit.jobs.fingerprint import Fingerprint as Fingerprint
from mnistkit.jobs.job import DATA_FOLDER as DATA_FOLDER
from mnistkit.jobs.job import Job as Job
from mnistkit.jobs.job import ModelFormat as ModelFormat
from mnistkit.jobs.job import RetryCause as RetryCause
from mnistkit.jobs.job import ScriptJob as ScriptJob
from mnistkit.jobs.job import TrackedJob as TrackedJob
from mnistkit.jobs.job import TrainingJob as TrainingJob
from mnistkit.jobs.provenance import Provenance as Provenance
from mnistkit.jobs.spec import ModelSpec as ModelSpec

__all__ = [
    "DATA_FOLDER",
    "Difference",
    "Environment",
    "Fingerprint",
    "Job",
    "ModelFormat",
    "ModelSpec",
    "Provenance",
    "RetryCause",
    "ScriptJob",
    "TrackedJob",
    "TrainingJob",
]
