"""``mnistkit data``: fetch, show, import and export datasets."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from attrs import evolve

from mnistkit.cli import output
from mnistkit.cli.command import Command, Group, JsonOption, examples
from mnistkit.cli.plotting import DataPlot, NumberOption, OutOption, check_out, plot_data
from mnistkit.errors import MissingExtraError, UsageError

if TYPE_CHECKING:  # loads numpy
    from mnistkit.data.dataset import Dataset
    from mnistkit.trainer.trainer import Trainer

__all__ = ["app", "cached_datasets"]

app = typer.Typer(cls=Group, help="Fetch, show, import and export datasets.", no_args_is_help=True)

_MAX_SIDE_PX = 16  # larger images are shown at half their size
_MORE = (
    ("idx:FOLDER", "-", "your own four IDX files"),
    ("azureml:mnist_opendataset", "-", "MNIST of Azure's Open Datasets, mounted in jobs of a workspace"),
)

UriArgument = Annotated[
    str | None,
    typer.Argument(metavar="[URI]", help="mnist, digits, idx:FOLDER... ('mnistkit data list').  [default: mnist]"),
]


class Half(str, enum.Enum):
    """The halves of a dataset."""

    TRAIN = "train"
    TEST = "test"


@app.command("list", cls=Command, epilog=examples("mnistkit data list"))
def list_datasets(*, as_json: JsonOption = False) -> None:
    """List the datasets that have a name, and which of them are in the cache."""
    from mnistkit import plugins

    cached = cached_datasets()
    entries: list[dict[str, Any]] = []
    for name in plugins.names("dataset"):
        folder, size = cached.get(name, (None, 0))
        if name not in {"array", "idx", "azureml"}:  # they need more than a name
            entries.append({"uri": name, "cached": folder is not None, "folder": folder, "bytes": size})
    if as_json:
        output.print_json(entries)
        return
    rows = [
        (entry["uri"], f"{entry['bytes'] / 1e6:.1f} MB" if entry["cached"] else "-", entry["folder"] or "-")
        for entry in entries
    ]
    output.print_table(("dataset", "cached#", "folder"), [*rows, *_MORE])


@app.command(cls=Command, epilog=examples("mnistkit data fetch", "mnistkit data fetch fashion-mnist"))
def fetch(uri: UriArgument = None) -> None:
    """Fetch a dataset into the cache, and verify it."""
    trainer, dataset = _load(uri)
    output.note(_summary(dataset))
    output.say(str(_folder(trainer)))


@app.command(cls=Command, epilog=examples("mnistkit data info", "mnistkit data info idx:my/folder --json"))
def info(uri: UriArgument = None, *, as_json: JsonOption = False) -> None:
    """Show what a dataset has: how many images of what size, and how many of each class."""
    import numpy as np

    trainer, dataset = _load(uri)
    n_classes = len(dataset.class_names)
    train, test = (np.bincount(split.labels, minlength=n_classes).tolist() for split in (dataset.train, dataset.test))
    h, w = dataset.train.images.shape[1:]
    if as_json:
        classes = [
            {"label": label, "name": name, "train": train[label], "test": test[label]}
            for label, name in enumerate(dataset.class_names)
        ]
        output.print_json({
            "name": dataset.name,
            "version": dataset.version,
            "uri": dataset.uri,
            "train": len(dataset.train),
            "test": len(dataset.test),
            "height": h,
            "width": w,
            "classes": classes,
            "sha256": dataset.sha256,
            "folder": str(_folder(trainer)),
        })  # fmt: skip
        return
    summary = dataset.describe()
    facts = {**summary.facts, "SHA-256": dataset.sha256, "Folder": str(_folder(trainer))}
    output.print_summary(evolve(summary, facts=facts, note=""))


@app.command(
    cls=Command,
    epilog=examples(
        "mnistkit data show",
        "mnistkit data show fashion-mnist -n 12 --seed 1",
        "mnistkit data show --plot balance --out balance.png",
    ),
)
def show(
    uri: UriArgument = None,
    *,
    n: NumberOption = 30,
    seed: Annotated[int, typer.Option(min=0, help="Seed for the choice of images.")] = 0,
    split: Annotated[Half, typer.Option(help="Which half of the dataset.")] = Half.TRAIN,
    plot: Annotated[
        DataPlot | None,
        typer.Option(
            help="Draw this figure: single images, how many there are of each class, or the mean image of each.",
            show_default=False,
        ),
    ] = None,
    out: OutOption = None,
) -> None:
    """Print sample images with their labels as characters; or draw them, or the classes, as a figure."""
    part: Literal["train", "test"] = "train" if split is Half.TRAIN else "test"
    kind = DataPlot.SAMPLES if plot is None and out is not None else plot
    check_out(kind, out)
    _, dataset = _load(uri)
    if kind is not None:
        plot_data(kind, dataset, out, n=n, seed=seed, split=part)
        return
    _print_samples(dataset, part, n, seed)


def cached_datasets() -> dict[str, tuple[str, int]]:
    """Return the folder and size in bytes of each named dataset in the cache."""
    from mnistkit import plugins
    from mnistkit.data.fetching import dataset_folder
    from mnistkit.data.manifest import MANIFEST

    found = {}
    for name in plugins.names("dataset"):
        try:
            folder = dataset_folder(plugins.data_source(name))
        except (UsageError, MissingExtraError):  # it takes more than a name, or a package that isn't there
            continue
        if (folder / MANIFEST).is_file():
            found[name] = (str(folder), sum(path.stat().st_size for path in folder.iterdir() if path.is_file()))
    return found


def _load(uri: str | None) -> tuple[Trainer, Dataset]:
    from mnistkit.cli.watch import fetched
    from mnistkit.trainer.trainer import Trainer

    trainer = Trainer.from_config(data=uri)
    return trainer, fetched(trainer)


def _print_samples(dataset: Dataset, part: Literal["train", "test"], n: int, seed: int) -> None:
    import numpy as np

    from mnistkit.cli.pictures import draw_rows, halved

    split = dataset.train if part == "train" else dataset.test
    chosen = np.random.default_rng(seed).permutation(len(split))[:n]
    is_large = min(split.images.shape[1:]) > _MAX_SIDE_PX
    images = [halved(split.images[i]) if is_large else split.images[i] for i in chosen]
    console = output.console()
    for line in draw_rows(images, [dataset.class_names[split.labels[i]] for i in chosen], console):
        console.print(line, no_wrap=True, crop=False, overflow="ignore")


def _folder(trainer: Trainer) -> Path:
    from mnistkit.data.fetching import dataset_folder

    return trainer.data.fetch(dataset_folder(trainer.data))


def _summary(dataset: Dataset) -> str:
    h, w = dataset.train.images.shape[1:]
    return (
        f"{dataset.name}: {len(dataset.train)} images to train on, {len(dataset.test)} to test on, "
        f"{h}x{w}, {len(dataset.class_names)} classes"
    )
