"""Summaries of values: plain data that any renderer can show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from mnistkit.errors import NotFoundError

__all__ = ["Cell", "Span", "Summary", "SummaryTable", "Text", "Thumbnail"]

Cell = str | int | float | None
"""A value in a table or of a fact: floats are shown with four significant digits, None as a dash."""


def _rows(rows: Iterable[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _facts(facts: Mapping[str, Cell]) -> dict[str, Cell]:
    return {name: value for name, value in facts.items() if value is not None and value != ""}


@frozen
class Span:
    """One part of a time line.

    Attributes:
        label: What it is called.
        seconds: Its length.
        state: The state that gives it its colour, such as ``"Running"``.
    """

    label: str
    seconds: float
    state: str


@frozen(kw_only=True)
class SummaryTable:
    """A table whose first column names its rows.

    Attributes:
        title: What it shows; its name within the summary.
        columns: The headings. The last ``#`` of a heading isn't shown: it marks a column of numbers or times.
        rows: A value per column.
        highlight: The index of the row to set off, if any.
        is_folded: Where a renderer can fold, it is shown only on request.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(converter=_rows)
    highlight: int | None = None
    is_folded: bool = False

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings, as they are shown."""
        return tuple(column.removesuffix("#") for column in self.columns)

    @property
    def is_numeric(self) -> tuple[bool, ...]:
        """For each column, True if it is one of numbers or times."""
        return tuple(column.endswith("#") for column in self.columns)


@frozen(kw_only=True)
class Text:
    """Lines as they are: a log, a traceback, names of files.

    Attributes:
        title: What it is.
        text: The lines.
        is_folded: Where a renderer can fold, it is shown only on request.
    """

    title: str
    text: str
    is_folded: bool = True


@frozen(kw_only=True)
class Thumbnail:
    """A small grey image.

    Attributes:
        caption: What it shows.
        pixels: ``height * width`` bytes, row by row; 0 is black.
        width: In pixels.
        height: In pixels.
    """

    caption: str
    pixels: bytes
    width: int
    height: int


@frozen(kw_only=True)
class Summary:
    """A value described for people. Renderers take this and nothing else.

    What is empty isn't shown: a fact that is None or ``""``, a table without rows, a text without characters.

    Attributes:
        title: The kind of value and its name, such as ``"Run 20260101-..."``.
        state: Its state in a word, if it has one.
        facts: Values by name, in the order in which they are shown.
        timeline: The stretches of time that it went through.
        images: A few small images.
        tables: Tables, by their titles.
        texts: Longer texts.
        note: One line, below everything else.
    """

    title: str
    state: str = ""
    facts: Mapping[str, Cell] = field(factory=dict, converter=_facts)
    timeline: tuple[Span, ...] = ()
    images: tuple[Thumbnail, ...] = ()
    tables: tuple[SummaryTable, ...] = ()
    texts: tuple[Text, ...] = ()
    note: str = ""

    def table(self, title: str) -> SummaryTable:
        """Return the table of that title.

        Raises:
            NotFoundError: The summary has no such table.
        """
        for table in self.tables:
            if table.title == title:
                return table
        raise NotFoundError(f"{self.title} has no table {title!r}; it has {[each.title for each in self.tables]}.")
