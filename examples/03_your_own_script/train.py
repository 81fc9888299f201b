"""A training script in the tutorial's manner: arguments in, metrics and a model file out.

It runs by itself as well: ``python train.py --data-folder FOLDER --regularization 0.5`` with a folder of IDX files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from mnistkit import get_context
from mnistkit.data import read_idx

parser = argparse.ArgumentParser()
parser.add_argument("--data-folder", type=Path, required=True, help="where the data is")
parser.add_argument("--regularization", type=float, default=0.01, help="regularization rate")
parser.add_argument("--limit", type=int, help="train on the first so many images only")
args = parser.parse_args()


def load(name: str) -> np.ndarray:
    """The array in the IDX file of that name, plain or .gz, at any depth below the data folder."""
    return read_idx(next(args.data_folder.glob(f"**/{name}*")))


# Pixels are scaled from 0..255 to 0..1, so that the solver converges faster.
X_train = load("train-images-idx3-ubyte")[: args.limit].reshape(-1, 784) / np.float32(255)
X_test = load("t10k-images-idx3-ubyte").reshape(-1, 784) / np.float32(255)
y_train = load("train-labels-idx1-ubyte")[: args.limit]
y_test = load("t10k-labels-idx1-ubyte")
print(X_train.shape, y_train.shape, X_test.shape, y_test.shape, sep="\n")

run = get_context()

print("Train a logistic regression model with regularization rate of", args.regularization)
clf = OneVsRestClassifier(LogisticRegression(C=1 / args.regularization, solver="liblinear", random_state=42))
clf.fit(X_train, y_train)

print("Predict the test set")
accuracy = np.average(clf.predict(X_test) == y_test)
print("Accuracy is", accuracy)

run.log("regularization rate", args.regularization)
run.log("accuracy", accuracy)

# What is saved in outputs is kept with the run.
joblib.dump(clf, run.outputs / "sklearn_mnist_model.pkl")
