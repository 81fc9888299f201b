from mnistkit.tracking.active import ActiveRun as ActiveRun
from mnistkit.tracking.registration import register_classifier as register_classifier
from mnistkit.tracking.registration import register_file as register_file
from mnistkit.tracking.starting import start_run as start_run

__all__ = ["ActiveRun", "register_classifier", "register_file", "start_run"]
