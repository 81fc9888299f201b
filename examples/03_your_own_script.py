"""Run your own training script as a tracked run, follow its log, and register what it left behind.

Run it with ``python examples/03_your_own_script.py``; the script is ``examples/03_your_own_script/train.py``.
"""

from __future__ import annotations

from pathlib import Path

from mnistkit import DATA_FOLDER, ScriptJob, Trainer


def main() -> None:
    trainer = Trainer.local(data="mnist")
    folder = Path(__file__).with_suffix("")  # all files in it go with the script

    # DATA_FOLDER stands for wherever the data is where the script runs.
    arguments = ("--data-folder", DATA_FOLDER, "--regularization", 0.5, "--limit", 5000)
    run = trainer.submit(ScriptJob(folder, "train.py", arguments))
    print(run)  # submitted; it runs in an interpreter of its own

    for text in run.logs(follow=True):
        print(text, end="")
    run.raise_for_state()
    print(run.metrics)

    model = trainer.register(run, "sklearn_mnist", file="outputs/sklearn_mnist_model.pkl")
    print(model.name, model.id, model.version, sep="\t")

    # The script saved a pickle, and a pickle can run any code: loading it takes a word from you.
    print(trainer.load(model.id, allow_pickle=True))


if __name__ == "__main__":
    main()
