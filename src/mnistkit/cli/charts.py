"""Charts drawn with characters: bars, spans of time, matrices."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mnistkit.cli.output import safe
from mnistkit.runs.record import Phase
from mnistkit.utils.text import duration

__all__ = ["bars", "matrix", "spans"]

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NAME = 12


def bars(rows: Sequence[tuple[str, float, str]], console: Console, *, full: float | None = None) -> list[Text]:
    """A horizontal bar per row, with its label before it and a remark after it.

    Args:
        rows: Label, length (at least 0), remark.
        console: Where they will be shown.
        full: The length of a bar of full width; None for the longest.
    """
    full = full or max((length for _, length, _ in rows), default=0) or 1
    width = max((len(safe(label)) for label, _, _ in rows), default=0)
    return [
        Text(f"{safe(label).rjust(width)}  {_bar(min(length / full, 1), console)}  {safe(remark)}".rstrip())
        for label, length, remark in rows
    ]


def spans(phases: Sequence[Phase], console: Console) -> list[Text]:
    """A bar per stretch of a run, below each other, each beginning where it began."""
    if not phases:
        return []
    start = phases[0].started_at
    starts = [max((phase.started_at - start).total_seconds(), 0) for phase in phases]
    total = max(left + phase.seconds for left, phase in zip(starts, phases, strict=True)) or 1
    labels = [f"{phase.state}{f' (attempt {phase.attempt})' * (phase.attempt > 1)}" for phase in phases]
    width, block, lines = max(map(len, labels)), "█" if _knows_blocks(console) else "#", []
    for label, left, phase in zip(labels, starts, phases, strict=True):
        begin = min(round(left / total * _WIDTH), _WIDTH - 1)
        end = max(round((left + phase.seconds) / total * _WIDTH), begin + 1)
        so_far = " so far" if phase.ended_at is None else ""
        bar = f"{' ' * begin}{block * (end - begin)}"
        lines.append(Text(f"{label.ljust(width)}  {bar.ljust(_WIDTH)}  {duration(phase.seconds)}{so_far}"))
    return lines


def matrix(names: Sequence[str], cells: Sequence[Sequence[str]], corner: str) -> list[Text]:
    """A matrix of short texts with the same names for rows and columns; the diagonal is bold.

    Args:
        names: One per row and column; long ones are cut.
        cells: The texts.
        corner: What is written above the names of the rows.
    """
    names = [safe(name) for name in names]
    label = min(max([len(corner), *map(len, names)]), max(_NAME, len(corner)))
    width = max(max((len(cell) for row in cells for cell in row), default=1), min(max(map(len, names)), 5)) + 1
    lines = [Text(corner.ljust(label) + "".join(name[: width - 1].rjust(width) for name in names), "bold")]
    for i, (name, row) in enumerate(zip(names, cells, strict=True)):
        line = Text(name[:label].ljust(label))
        for j, cell in enumerate(row):
            line.append(cell.rjust(width), "bold" if i == j else "")
        line.rstrip()
        lines.append(line)
    return lines


def _bar(share: float, console: Console) -> str:
    if not _knows_blocks(console):
        return ("#" * round(share * _WIDTH)).ljust(_WIDTH)
    full, eighths = divmod(round(share * _WIDTH * 8), 8)
    return f"{'█' * full}{_EIGHTHS[eighths] if eighths else ''}".ljust(_WIDTH)


def _knows_blocks(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")
