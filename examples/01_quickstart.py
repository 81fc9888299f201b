"""Train a digit classifier on MNIST, look at how good it is, register it, and ask it about some digits.

Run it with ``python examples/01_quickstart.py``. It keeps runs and models in ``./.mnistkit``.
"""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer


def main() -> None:
    trainer = Trainer.local(data="mnist")
    data = trainer.dataset()
    print(data)

    # The tutorial's regularization rate is 1/C.
    run = trainer.train(LogisticRegression(C=1 / 0.5, tol=1e-3))
    print(run.id, run.state)
    print(run.metrics)
    print("\n".join(run.files))

    model = trainer.register(run, "sklearn_mnist")
    print(model.name, model.id, model.version, sep="\t")

    classifier = trainer.load("sklearn_mnist")  # the newest version, verified before it is loaded
    answers = classifier.predict(data.test.X()[:10])
    print("the digits are     ", *data.test.y[:10])
    print("the classifier says", *answers)


if __name__ == "__main__":
    main()
