"""Jobs: what to run, as values that go to JSON and back."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "environment": ["Environment"],
        "fingerprint": ["Difference", "Fingerprint"],
        "job": ["DATA_FOLDER", "Job", "ModelFormat", "RetryCause", "ScriptJob", "TrackedJob", "TrainingJob"],
        "provenance": ["Provenance"],
        "spec": ["ModelSpec"],
    },
)
