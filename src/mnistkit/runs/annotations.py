"""Tags and notes that a run gets afterwards: checked, and kept as lines of a file of their own.

The file is only appended to, a line in one write, so that several processes may annotate a run while its owner rewrites
``record.json``: nothing is lost, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mnistkit.errors import StorageError, UsageError
from mnistkit.runs.lines import MAX_TAGS_BYTES, append_line, checked_tag, read_lines
from mnistkit.utils.clock import utc_now
from mnistkit.utils.text import is_encodable

__all__ = [
    "ANNOTATIONS_FILE",
    "annotated_tags",
    "append_annotation",
    "check_annotation",
    "joined_notes",
    "read_annotations",
]

ANNOTATIONS_FILE: Final = "annotations.jsonl"
"""The file in a run folder that holds what was added to the run afterwards, one JSON object a line."""

_MAX_NOTE_CHARS = 10_000


def check_annotation(tags: Mapping[str, str | None], note: str | None) -> dict[str, str | None]:
    """Return the tags as text.

    Args:
        tags: Text by key; None removes a tag.
        note: At most 10,000 characters; None for no note.

    Raises:
        UsageError: One of them isn't that.
    """
    texts: dict[str, str | None] = {}
    for key, value in tags.items():
        checked = checked_tag(key, "" if value is None else value)
        texts[str(checked["key"])] = None if value is None else str(checked["value"])
    if note is not None and not (isinstance(note, str) and len(note) <= _MAX_NOTE_CHARS and is_encodable(note)):
        raise UsageError(f"note({note!r:.80}): a note is text of at most {_MAX_NOTE_CHARS:,} characters.")
    return texts


def append_annotation(
    folder: Path, tags: Mapping[str, str | None], note: str | None = None, *, replace_note: bool = False
) -> None:
    """Append tags and a note to those of a run folder; see `mnistkit.interfaces.SupportsAnnotations`.

    Raises:
        UsageError: They aren't text, or the file would become too large.
        StorageError: They can't be written.
    """
    item: dict[str, object] = {"time": utc_now().isoformat(), "tags": check_annotation(tags, note)}
    if note is not None:
        item |= {"note": note, "replace": replace_note}
    path = folder / ANNOTATIONS_FILE
    try:
        append_line(path, item, MAX_TAGS_BYTES, "add fewer or shorter tags and notes")
    except OSError as error:
        raise StorageError(
            f"Can't write {path}, which keeps tags and notes: {error.strerror or error}. Make room, or make its folder "
            "writable."
        ) from error


def read_annotations(folder: Path) -> tuple[dict[str, str | None], str]:
    """Return the tags that were set afterwards, None for one that was removed, and the note.

    Lines that are torn or strange are left out.

    Raises:
        DataFormatError: The file is larger than `append_annotation` lets it become.
    """
    tags: dict[str, str | None] = {}
    note = ""
    for item in read_lines(folder / ANNOTATIONS_FILE, MAX_TAGS_BYTES):
        added, text = item.get("tags"), item.get("note")
        if isinstance(added, dict):
            tags |= {key: value for key, value in added.items() if value is None or isinstance(value, str)}
        if isinstance(text, str):
            note = joined_notes("" if item.get("replace") is True else note, text)
    return tags, note


def annotated_tags(tags: Mapping[str, str], added: Mapping[str, str | None]) -> dict[str, str]:
    """Return the tags of a job and its run with those that were set and without those that were removed afterwards."""
    return {key: value for key, value in {**tags, **added}.items() if value is not None}


def joined_notes(*notes: str) -> str:
    """Return notes as one text, each on lines of its own."""
    return "\n".join(filter(None, notes))
