"""Folders of pictures become datasets, and datasets folders of pictures."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit import load_dataset
from mnistkit.data.dataset import Dataset
from mnistkit.data.image_folder import export_pictures, import_pictures
from mnistkit.data.image_folder.folders import folder_names
from mnistkit.data.importing.outcome import Imported
from mnistkit.data.manifest import MANIFEST, DatasetManifest
from mnistkit.data.split import Split
from mnistkit.errors import DataFormatError, MissingExtraError, NotFoundError, StorageError, UsageError
from mnistkit.utils import progress
from mnistkit.utils.files import Path as WritingPath
from mnistkit.utils.markup import encode_grey

Image = pytest.importorskip("PIL.Image", reason="the extra 'cli' isn't installed")

FILES = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}


def stroke(shape: tuple[int, int] = (28, 28), shade: int = 255) -> np.ndarray:
    """A light stroke on black, off the middle."""
    picture = np.zeros(shape, dtype=np.uint8)
    picture[shape[0] // 8 : shape[0] // 2, shape[1] // 8 : shape[1] // 4] = shade
    return picture


def save(path: Path, picture: np.ndarray | None = None) -> Path:
    """Write a picture, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(stroke() if picture is None else picture).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten pictures each, every one of another shade."""
    for i in range(10):
        save(tmp_path / "mine" / "one" / f"{i}.png", stroke(shade=100 + i))
        save(tmp_path / "mine" / "zero" / f"{i}.png", stroke(shade=200 + i))
    return tmp_path / "mine"


def shades(split: Split) -> list[int]:
    """The lightest pixel of each image."""
    return [int(image.max()) for image in split.images]


def reasons(made: Imported) -> dict[str, str]:
    """Why each file was left out."""
    return {each.file: each.reason for each in made.left_out}


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey PNG whose header claims a size, with chunks between its header and its end."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    whole = ((b"IHDR", header), *chunks, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in whole
    )


def test_classes_are_named_after_their_folders(folder: Path, tmp_path: Path) -> None:
    """Each image has the label of its folder, whose name is the class's; the source ``idx:`` shows them."""
    made = import_pictures(folder, tmp_path / "out")
    dataset = load_dataset(made.uri)
    assert dataset.class_names == made.class_names == ("one", "zero")
    assert (dataset.name, made.left_out, made.light) == ("mine", (), 0)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, MANIFEST}
    for split in (dataset.train, dataset.test):
        assert all((shade >= 200) == label for shade, label in zip(shades(split), split.labels, strict=True))


def test_a_share_of_each_class_is_for_the_test(folder: Path, tmp_path: Path) -> None:
    """The test split has the share of each class, chosen by the seed; together the splits have each picture once."""
    found = [load_dataset(import_pictures(folder, tmp_path / f"out{seed}", seed=seed).uri) for seed in (0, 1)]
    for dataset in found:
        assert np.bincount(dataset.test.labels).tolist() == [2, 2]
        assert sorted(shades(dataset.train) + shades(dataset.test)) == [*range(100, 110), *range(200, 210)]
    assert shades(found[0].test) != shades(found[1].test)
    half = load_dataset(import_pictures(folder, tmp_path / "half", test_fraction=0.5).uri)
    assert np.bincount(half.test.labels).tolist() == [5, 5]


def test_the_same_pictures_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Importing twice writes the same files, byte for byte."""
    for name in ("a", "b"):
        import_pictures(folder, tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    """Classes that are called by numbers have these in their order, not in that of their letters."""
    for name in ("10", "9", "2"):
        for i in range(2):
            save(tmp_path / "mine" / name / f"{i}.png")
    assert import_pictures(tmp_path / "mine", tmp_path / "out").class_names == ("2", "9", "10")


@pytest.mark.parametrize("pair", [("train", "test"), ("training", "testing"), ("Train", "TEST")])
def test_train_and_test_folders_are_the_splits(tmp_path: Path, pair: tuple[str, str]) -> None:
    """Where there are both, each is its split; a class of which one has no pictures is a class all the same."""
    save(tmp_path / "mine" / pair[0] / "a" / "deep" / "er" / "1.jpg")
    save(tmp_path / "mine" / pair[0] / "b" / "1.PNG")
    save(tmp_path / "mine" / pair[1] / "b" / "2.jpeg")
    (tmp_path / "mine" / pair[1] / "c").mkdir()
    save(tmp_path / "mine" / "other" / "3.png")
    made = import_pictures(tmp_path / "mine", tmp_path / "out")
    assert (made.train, made.test, made.class_names) == (2, 1, ("a", "b", "c"))
    assert made.unseen == ("c",)
    assert reasons(made) == {"other": f"is beside {pair[0]} and {pair[1]}"}
    with pytest.raises(UsageError, match="own test pictures"):
        import_pictures(tmp_path / "mine", tmp_path / "out2", test_fraction=0.3)


def test_one_half_alone_is_a_mistake(tmp_path: Path) -> None:
    """A train folder with classes in it but no test folder isn't taken for a class called train."""
    save(tmp_path / "mine" / "train" / "a" / "1.png")
    with pytest.raises(DataFormatError, match="but no test"):
        import_pictures(tmp_path / "mine", tmp_path / "out")
    (tmp_path / "mine" / "train").rename(tmp_path / "mine" / "Testing")
    with pytest.raises(DataFormatError, match="Testing with folders in it, but no training"):
        import_pictures(tmp_path / "mine", tmp_path / "out")


def test_colours_become_grey_at_the_size(tmp_path: Path) -> None:
    """Pictures of any mode and size become grey images of one size, in their proportions, on their own ground."""
    tall = np.full((60, 30), 40, dtype=np.uint8)
    tall[10:50, 10:20] = 240
    for i, mode in enumerate(("L", "RGB", "RGBA", "P", "LA")):
        path = tmp_path / "mine" / "a" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tall).convert("RGB").convert(mode).save(path)
    dataset = load_dataset(import_pictures(tmp_path / "mine", tmp_path / "out", size=(20, 20)).uri)
    for image in (*dataset.train.images, *dataset.test.images):
        assert image.shape == (20, 20)
        assert abs(int(image[10, 10]) - 240) < 16
        assert abs(int(image[10, 0]) - 40) < 16  # the ground that proportions leave free
        assert abs(int(image[0, 10]) - 40) < 16


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    """The orientation of a JPEG's metadata counts."""
    (tmp_path / "mine" / "a").mkdir(parents=True)
    picture = np.zeros((40, 40), dtype=np.uint8)
    picture[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    for i in range(2):
        Image.fromarray(picture).save(tmp_path / "mine" / "a" / f"{i}.jpg", exif=exif)
    image = load_dataset(import_pictures(tmp_path / "mine", tmp_path / "out").uri).train.images[0]
    assert image[:10].max() < 20
    assert image[-10:].min() > 235


def test_dark_on_light_is_inverted_if_asked(tmp_path: Path) -> None:
    """Inversion makes light of dark, and how many are on a light ground is told either way."""
    for i in range(4):
        save(tmp_path / "mine" / "a" / f"{i}.png", 255 - stroke())
    plain, inverted = (import_pictures(tmp_path / "mine", tmp_path / f"{is_}", invert=is_) for is_ in (False, True))
    assert (plain.light, inverted.light) == (4, 0)
    assert np.array_equal(load_dataset(inverted.uri).train.images[0], stroke())
    assert np.array_equal(load_dataset(plain.uri).train.images[0], 255 - stroke())


def test_centred_as_mnist_was(tmp_path: Path) -> None:
    """With ``centre`` the ink fills a 20x20 box, and its mass is where MNIST's is; a blank picture is left out."""
    for i in range(3):
        save(tmp_path / "mine" / "a" / f"{i}.png", stroke((90 + 10 * i, 70), 180))
    save(tmp_path / "mine" / "a" / "blank.png", np.full((40, 40), 77, dtype=np.uint8))
    made = import_pictures(tmp_path / "mine", tmp_path / "out", centre=True)
    assert list(reasons(made)) == ["a/blank.png"]
    assert "all of one shade" in reasons(made)["a/blank.png"]
    for image in load_dataset(made.uri).train.images:
        rows, columns = np.nonzero(image.max(axis=1) > 64)[0], np.nonzero(image.max(axis=0) > 64)[0]
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        for axis in (0, 1):
            mass = image.sum(axis=1 - axis, dtype=float)
            assert mass @ (np.arange(28) + 0.5) / mass.sum() == pytest.approx(14.5, abs=0.6)


def _truncated(picture: Path) -> bytes:
    return picture.read_bytes()[: picture.stat().st_size // 2]


HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "truncated.png": (_truncated, "is no picture that can be read"),
    "empty.png": (lambda _: b"", "it isn't PNG or JPEG or BMP"),
    "text.jpg": (lambda _: b"not a picture at all", "it isn't PNG or JPEG or BMP"),
    "gif.png": (lambda _: b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "it isn't PNG or JPEG or BMP"),
    "bomb.png": (lambda _: png(60_000, 60_000, (b"IDAT", zlib.compress(b"\0" * 100))), "pixels"),
    "wide.png": (lambda _: png(2**31 - 1, 1, (b"IDAT", zlib.compress(b"\0"))), "pixels"),
    "nothing.png": (lambda _: png(0, 0), "is no picture that can be read"),
    "text-bomb.png": (
        lambda _: png(2, 2, (b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20))), (b"IDAT", zlib.compress(bytes(6)))),
        "is no picture that can be read",
    ),
    "notes.txt": (lambda _: b"notes", "its name doesn't end in"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_left_out_and_listed(folder: Path, tmp_path: Path, name: str) -> None:
    """A file that is no picture, or claims what could fill the memory, is listed with the reason; the rest is there."""
    content, reason = HOSTILE[name]
    (folder / "one" / name).write_bytes(content(folder / "one" / "0.png"))
    made = import_pictures(folder, tmp_path / "out")
    assert list(reasons(made)) == [f"one/{name}"]
    assert reason in reasons(made)[f"one/{name}"]
    assert str(tmp_path) not in reasons(made)[f"one/{name}"]
    assert made.train + made.test == 20


def test_a_truncated_photograph_is_left_out(folder: Path, tmp_path: Path) -> None:
    """Half of a JPEG isn't taken for a picture with a grey lower half."""
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    whole = save(tmp_path / "whole.jpg", noise)
    (folder / "one" / "half.jpg").write_bytes(_truncated(whole))
    assert list(reasons(import_pictures(folder, tmp_path / "out"))) == ["one/half.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither")
@pytest.mark.timeout(60)
def test_links_and_pipes_are_left_alone(folder: Path, tmp_path: Path) -> None:
    """Symbolic links to files and folders aren't followed, pipes aren't waited for; a hard link is a file."""
    outside = save(tmp_path / "outside" / "a.png")
    (folder / "one" / "link.png").symlink_to(outside)
    (folder / "one" / "folder").symlink_to(outside.parent)
    (folder / "two").symlink_to(outside.parent)
    os.mkfifo(folder / "one" / "pipe.png")
    os.link(outside, folder / "one" / "hard.png")
    made = import_pictures(folder, tmp_path / "out")
    link = "is a symbolic link"
    pipe = {"one/pipe.png": "is no regular file"}
    assert reasons(made) == {"one/link.png": link, "one/folder": link, "two": link, **pipe}
    assert made.train + made.test == 21


def test_hidden_files_and_litter_do_not_count(folder: Path, tmp_path: Path) -> None:
    """What systems leave in folders is no class and no picture; a picture outside of a class is listed."""
    for name in (".DS_Store", "one/.hidden.png", "one/Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"junk")
    save(folder / ".git" / "a.png")
    save(folder / "one" / ".cache" / "a.png")
    save(folder / "loose.png")
    assert reasons(import_pictures(folder, tmp_path / "out")) == {"loose.png": "is in no folder of a class"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 28)}, "size="),
        ({"size": (28, 5000)}, "size="),
        ({"test_fraction": 0.0}, "between 0 and 1"),
        ({"test_fraction": 1.0}, "between 0 and 1"),
    ],
)
def test_impossible_arguments_are_refused(folder: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    """Sizes and shares that can't be are refused before anything is read or written."""
    with pytest.raises(UsageError, match=message):
        import_pictures(folder, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_folders_that_do_not_do_are_refused(folder: Path, tmp_path: Path) -> None:
    """No folder, one without classes, one whose pictures are all bad, and one class with one picture: each says so."""
    with pytest.raises(NotFoundError, match="is not a folder"):
        import_pictures(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFormatError, match="one per class"):
        import_pictures(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "1.png").write_bytes(b"junk")
    with pytest.raises(DataFormatError, match=r"0 pictures.*a/1.png: is no picture"):
        import_pictures(tmp_path / "bad", tmp_path / "out")
    save(tmp_path / "single" / "a" / "1.png")
    with pytest.raises(DataFormatError, match="none is left for the test split"):
        import_pictures(tmp_path / "single", tmp_path / "out")
    for i in range(257):
        (tmp_path / "many" / str(i)).mkdir(parents=True)
    with pytest.raises(DataFormatError, match="at most 256 classes"):
        import_pictures(tmp_path / "many", tmp_path / "out")
    with pytest.raises(UsageError, match="inside"):
        import_pictures(folder, folder / "out")
    assert not (tmp_path / "out").exists()


def test_a_dataset_that_is_there_is_never_touched(folder: Path, tmp_path: Path) -> None:
    """A folder with anything in it is refused, an empty one is filled."""
    (tmp_path / "out").mkdir()
    import_pictures(folder, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UsageError, match="is there already"):
        import_pictures(folder, tmp_path / "out")
    with pytest.raises(UsageError, match="is there already"):
        export_pictures(load_dataset("digits"), tmp_path / "out")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_an_interrupted_import_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C while pictures are read leaves no folder, not even a hidden one."""
    before = {*tmp_path.iterdir()}

    def interrupt(step: progress.Step) -> None:
        if step.done > 0 and not step.finished:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress.listening(interrupt):
        import_pictures(folder, tmp_path / "out")
    assert {*tmp_path.iterdir()} == before


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while pictures are written leaves no folder, not even a hidden one; the progress ends."""
    steps: list[progress.Step] = []
    before = {*tmp_path.iterdir()}

    def interrupt(step: progress.Step) -> None:
        steps.append(step)
        if len(steps) == 5:
            raise KeyboardInterrupt

    digits = load_dataset("digits")
    with pytest.raises(KeyboardInterrupt), progress.listening(interrupt):
        export_pictures(digits, tmp_path / "out")
    assert {path for path in tmp_path.iterdir() if "cache" not in path.name} == before
    assert steps[-1].finished


@pytest.mark.parametrize("after", range(5))
def test_a_full_disk_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Whichever file can't be written, nothing stays, and the message says what is wrong."""
    before, replace, calls = {*tmp_path.iterdir()}, WritingPath.replace, iter(range(9))

    def failing(self: Path, target: Path) -> Path:
        if next(calls) == after:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(WritingPath, "replace", failing)
    with pytest.raises(StorageError, match="No space left on device"):
        import_pictures(folder, tmp_path / "out")
    assert {*tmp_path.iterdir()} == before


def test_progress_is_in_bytes(folder: Path, tmp_path: Path) -> None:
    """Progress grows to the size of all pictures, and ends."""
    steps: list[progress.Step] = []
    with progress.listening(steps.append):
        import_pictures(folder, tmp_path / "out")
    total = sum(path.stat().st_size for path in folder.rglob("*.png"))
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].done, steps[-1].total, steps[-1].finished) == (total, total, True)
    assert len(steps) > 10


def test_digits_come_back_as_they_were(tmp_path: Path) -> None:
    """An export, imported again, is the same dataset: pixels, labels, order, splits, names, to the byte."""
    digits = load_dataset("digits")
    made = import_pictures(export_pictures(digits, tmp_path / "pictures"), tmp_path / "out", size=(8, 8))
    again = load_dataset(made.uri)
    assert made.left_out == ()
    assert (again.name, again.version, again.class_names) == (digits.name, digits.version, digits.class_names)
    assert again.sha256 == digits.sha256


NAMES = (
    "dataset.json",
    "T-shirt/top",
    "a",
    "A",
    "..",
    "",
    "CON",
    "x" * 300,
    "a~2",
    'q"<>|?*:\\',
    " .",
    "%2F",
    "ä",
    "train",
    "\x1b[2J",
)


def test_any_class_names_come_back(tmp_path: Path) -> None:
    """Names that no file system would take, twins but for their case, and classes without images come back."""
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 7), dtype=np.uint8)
    labels = np.random.default_rng(1).integers(0, len(NAMES) - 1, 40, dtype=np.uint8)
    split = Split(images=images, labels=labels)
    dataset = Dataset(name="odd", version="3", uri="idx:x", class_names=NAMES, train=split, test=split)
    folder = export_pictures(dataset, tmp_path / "pictures")
    assert {len(path.relative_to(folder).parts) for path in folder.rglob("*.png")} == {3}
    again = load_dataset(import_pictures(folder, tmp_path / "out", size=(5, 7)).uri)
    assert again.class_names == NAMES
    assert again.sha256 == dataset.sha256


@given(st.lists(st.text(max_size=100), max_size=30))
def test_folder_names_are_safe_and_unique(names: list[str]) -> None:
    """Whatever the classes are called, each has one folder of its own that no file system refuses."""
    found = folder_names(names)
    assert len(found) == len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert 0 < len(name.encode()) <= 255
        assert not set(name) & set('<>:"/\\|?*\0')
        assert name not in {".", ".."}


def test_a_foreign_class_beside_a_manifest_is_listed(tmp_path: Path) -> None:
    """Where ``dataset.json`` names the classes, a folder that is none of them is left out."""
    for name in ("b", "a", "c"):
        for i in range(2):
            save(tmp_path / "mine" / name / f"{i}.png")
    DatasetManifest(name="named", version="7", class_names=("b", "a")).write(tmp_path / "mine")
    made = import_pictures(tmp_path / "mine", tmp_path / "out")
    assert made.class_names == ("b", "a")
    assert reasons(made) == {"c": "is no class of dataset.json"}
    assert (load_dataset(made.uri).name, load_dataset(made.uri).version) == ("named", "7")


@pytest.mark.skipif(sys.platform != "linux", reason="only there names are bytes")
def test_names_that_are_no_text_are_taken(tmp_path: Path) -> None:
    """A folder and a file whose names aren't UTF-8 are a class and a picture."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mine/caf\xe9"))
    for i in range(2):
        save(odd / os.fsdecode(b"\xff%d.png" % i))
    made = import_pictures(tmp_path / "mine", tmp_path / "out")
    assert load_dataset(made.uri).class_names == ("caf\\xe9",)
    assert made.train + made.test == 2


def test_without_pillow_the_extra_is_named(folder: Path, tmp_path: Path) -> None:
    """Reading needs the extra cli, and says so; writing needs nothing."""
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from mnistkit.errors import MissingExtraError\n"
        "from mnistkit.data.image_folder import import_pictures, export_pictures\n"
        "from mnistkit import load_dataset\n"
        "export_pictures(load_dataset('digits'), sys.argv[2] + '/png')\n"
        "try: import_pictures(sys.argv[1], sys.argv[2] + '/out')\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "pip install 'mnistkit[cli]'" in done.stdout
    assert issubclass(MissingExtraError, ImportError)


def test_our_png_is_what_pillow_reads(tmp_path: Path) -> None:
    """The PNG that is written without Pillow has the same pixels in it."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encode_grey(pixels.tobytes(), 9, 5))
    with Image.open(tmp_path / "a.png") as read:
        assert read.mode == "L"
        assert np.array_equal(np.asarray(read), pixels)
