"""Shares of rows: divided in proportion, at the bounds of groups, and loaded no more than once."""

from __future__ import annotations

import numpy as np
import pytest

from mnistkit.dask.parts import as_part
from mnistkit.dask.placing import Holdings, Share, shares


@pytest.mark.parametrize("stop", [1, 1000, 1001, 16_000])
@pytest.mark.parametrize("workers", [{"a": 1}, {"a": 1, "b": 3}, {str(number): 2 for number in range(40)}])
def test_shares_cover_a_range(stop: int, workers: dict[str, int]) -> None:
    """Shares follow each other without a gap, begin at multiples of the unit, and are in proportion to threads."""
    found = shares([(0, stop)], 1000, workers)
    assert [share.start for share in found] == [0, *(share.stop for share in found)][: len(found)]
    assert found[-1].stop == stop
    assert all(share.start % 1000 == 0 for share in found)
    for share in found:
        exact = stop * workers[share.address] / sum(workers.values())
        assert abs(share.stop - share.start - exact) <= 1000


def test_only_what_is_missing_is_loaded() -> None:
    """A share is loaded from the parts that it spans, but for what its worker holds; the rest may be freed."""
    parts = [as_part(np.full((n, 2), n, np.uint8)) for n in (10, 0, 20, 30)]
    holdings = Holdings(parts, [0, 10, 10, 30, 60])

    def loaded(share: Share) -> list[tuple[int, int]]:
        pieces = holdings.missing(share)
        for piece in pieces:
            held, _ = piece.part.describe()
            assert held.n_rows >= piece.first + piece.n_rows
        holdings.hold(share.address, [(piece.start, piece.start + piece.n_rows) for piece in pieces])
        return [(piece.start, piece.n_rows) for piece in pieces]

    assert loaded(Share(5, 35, "a")) == [(5, 5), (10, 20), (30, 5)]
    assert loaded(Share(5, 35, "a")) == []
    assert loaded(Share(0, 40, "a")) == [(0, 5), (35, 5)]
    assert loaded(Share(30, 40, "b")) == [(30, 10)]
    wanted = [Share(0, 35, "a"), Share(35, 60, "b")]
    assert holdings.exceeding(wanted) == {"a": [(0, 35)]}
    holdings.replace("a", [(0, 35)])
    assert holdings.exceeding(wanted) == {}
    holdings.replace("a", [])
    assert loaded(Share(0, 10, "a")) == [(0, 10)]
