"""Train several classifiers, compare them, and register the best one as the champion.

Run it with ``python examples/02_sweep_and_register_best.py``. It keeps runs and models in ``./.mnistkit``.
"""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer, best_run, promote


def main() -> None:
    trainer = Trainer.local(data="mnist", experiment="regularization")

    # A stratified subset of 5000 images keeps a look at six models short; every model sees the same ones.
    rates = [0.1, 0.5, 2, 10, 50, 200]
    grid = {"C": [1 / rate for rate in rates]}
    runs = trainer.sweep(LogisticRegression(tol=1e-3), grid, parallel=2, limit=5000)

    print("regularization rate   accuracy   log loss")
    for run in runs:
        print("{regularization rate:19g} {accuracy:10.4f} {log loss:10.4f}".format_map(run.metrics))

    best = best_run(runs, "accuracy", mode="max")
    model = trainer.register(best, "sklearn_mnist", tags={"chosen from": f"{len(runs)} rates"})
    promote(trainer.models, model.id, "champion", reason=f"best of {len(runs)}")
    print(f"{model.id} is the champion, with accuracy {model.metrics['accuracy']}")
    print("loaded again:", trainer.load("sklearn_mnist@champion"))


if __name__ == "__main__":
    main()
