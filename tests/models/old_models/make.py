"""Make the models in this folder: what an older scikit-learn left, for tests of what a newer one says to it.

In an environment with ``scikit-learn==1.5.2``, ``numpy<2.3`` and ``skops``, and mnistkit on the path::

    python tests/models/old_models/make.py

Each is fitted on made-up numbers.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import sklearn
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mnistkit.models.persistence import save_model

MODELS = {
    "logistic": LogisticRegression(),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "sgd": SGDClassifier(random_state=0),
    "svc": SVC(),
    "neighbors": KNeighborsClassifier(3, algorithm="brute"),
    "forest": RandomForestClassifier(1, max_depth=2, random_state=0),
    "perceptron": MLPClassifier((2,), max_iter=20, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=1, max_depth=2, random_state=0),
    "histograms": HistGradientBoostingClassifier(max_iter=1, max_leaf_nodes=3, max_bins=8, early_stopping=False),
}


def main() -> None:
    """Write a folder for each."""
    if not sklearn.__version__.startswith("1.5."):
        raise SystemExit(f"This is scikit-learn {sklearn.__version__}; these models are for 1.5.")
    X, y = make_classification(40, 4, n_informative=3, n_redundant=0, n_classes=2, random_state=0)
    for name, model in MODELS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short fits are on purpose
            model.fit(X, y)
        _shrink(save_model(model, Path(__file__).parent / name, probe=X))
    save_model(MODELS["histograms"], Path(__file__).parent / "histograms-joblib", format="joblib", probe=X)


def _shrink(file: Path) -> None:
    """Leave the blanks out of the JSON in a skops file."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["schema.json"] = json.dumps(json.loads(members["schema.json"]), separators=(",", ":")).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


if __name__ == "__main__":
    main()
