"""Filters and orders are understood fully, or refused."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("h11")

from mnistkit.emulator.odata import Fields, order, page, parse
from mnistkit.emulator.routing import Refusal

FIELDS = Fields(
    plain={"runid": "runId", "status": "status", "createdutc": "createdUtc", "number": "number", "hidden": "hidden"},
    times=frozenset({"createdUtc"}),
    maps={"tags": "tags"},
)
RECORDS: list[dict[str, Any]] = [
    {
        "runId": f"run-{number}",
        "status": status,
        "number": number,
        "hidden": number == 2,
        "createdUtc": f"2026-01-0{number}T10:00:00.5Z",
        "tags": tags,
    }
    for number, (status, tags) in enumerate(
        [("Running", {"stage": "dev", "a b": "c"}), ("Completed", {"stage": None}), (None, {})], start=1
    )
]


def found(text: str) -> list[int]:
    """The numbers of the records that a filter finds."""
    fits = parse(text, FIELDS)
    return [record["number"] for record in RECORDS if fits(record)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Status eq Running", [1]),
        ('status eq "Running"', [1]),
        ("Status eq 'Running'", [1]),
        ("Status ne Running", [2, 3]),
        ("Status eq null", [3]),
        ("Status ne null", [1, 2]),
        ('Status eq "null"', []),
        ("not Status eq Running", [2, 3]),
        ("not (Status eq Running or Status eq null)", [2]),
        ("(Status eq Running) or Number gt 2", [1, 3]),
        ("Number ge 2 and Number lt 3", [2]),
        ("Number le 1", [1]),
        ("Number gt 10", []),
        ("Status eq Running or Status eq Completed and Number eq 7", [1]),
        ("Hidden eq true", [2]),
        ('(Tags/stage eq "dev")', [1]),
        ("Tags/a b eq c", [1]),
        ("(Tags/stage ne null or Tags/stage eq null)", [1, 2]),
        ("Tags/stage eq null", [2]),
        ("not Tags/stage eq null", [1, 3]),
        ("(CreatedUtc ge 2026-01-02 00:00:00)", [2, 3]),
        ("(CreatedUtc ge 2026-01-02 10:00:00.500000+00:00)", [2, 3]),
        ("CreatedUtc gt 2026-01-02T10:00:00.5Z", [3]),
        ("CreatedUtc lt 2026-01-02T12:00:00+02:00", [1]),
        ("RunId eq run-1", [1]),
        ('((Tags/stage eq "dev") and (Status ne null))', [1]),
    ],
)
def test_filters(text: str, numbers: list[int]) -> None:
    """Each kind of filter finds what it describes; a key that isn't there makes every comparison false."""
    assert found(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Status",
        "Status eq",
        "Status is Running",
        "Status eq Running Completed",
        "Status eq Running and",
        "(Status eq Running",
        "Status eq Running)",
        "eq Running",
        "Nothing eq 1",
        "Nested/key eq 1",
        "Tags/ eq 1",
        'Status eq "Running',
        "contains(Status, 'R')",
        "CreatedUtc gt yesterday",
        "Status in (Running)",
        "(" * 60 + "Status eq Running" + ")" * 60,
    ],
)
def test_refused(text: str) -> None:
    """What isn't understood is refused with 400, never ignored."""
    with pytest.raises(Refusal) as caught:
        parse(text, FIELDS)
    assert caught.value.status == 400


def test_order() -> None:
    """Records are sorted by one field or several, either way; null comes first."""
    numbers = lambda text: [record["number"] for record in order(RECORDS, text, FIELDS)]  # noqa: E731 - three uses
    assert numbers("number desc") == [3, 2, 1]
    assert numbers("Status asc") == [3, 2, 1]
    assert numbers("hidden desc, number desc") == [2, 3, 1]
    for text in ("nothing", "number up", ""):
        with pytest.raises(Refusal):
            order(RECORDS, text, FIELDS)


def test_pages() -> None:
    """All come on pages, each once, also if a new one appears at the front meanwhile."""
    first = page(RECORDS, "runId", 2, None)
    assert [each["number"] for each in first["value"]] == [1, 2]
    more = [{"runId": "new", "number": 0}, *RECORDS]
    last = page(more, "runId", "2", first["continuationToken"])
    assert ([each["number"] for each in last["value"]], last["continuationToken"]) == ([3], None)
    for top, token in ((0, None), ("many", None), (2, "gone")):
        with pytest.raises(Refusal):
            page(RECORDS, "runId", top, token)
