"""Each file that another program could have made, mutated: no error but ours, no list that one item takes away."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnistkit.errors import MnistkitError
from support.mutations import mutate
from support.victims import VICTIMS, Victim

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs pipes and links")

MAX_SECONDS = 1.0
MAX_GROWTH_KIB = 300 << 10
LONG_RUN = 100_000


@pytest.fixture(params=VICTIMS)
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Victim:
    """Each file, in surroundings of its own."""
    return VICTIMS[request.param](tmp_path)


def _check(victim: Victim, count: int) -> None:
    original = victim.path.read_bytes()
    for look in victim.looks:
        look()
    victim.check()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**40))
    def mutated(seed: int) -> None:
        what = mutate(victim.path, original, seed)
        victim.check()
        for look in victim.looks:
            start = time.process_time()
            try:
                look()
            except MnistkitError as error:
                str(error).encode()
            assert time.process_time() - start < MAX_SECONDS, what

    mutated()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KIB


@pytest.mark.filterwarnings("ignore")
def test_mutated_files_raise_our_errors_alone(victim: Victim) -> None:
    """Bytes, values, pipes, links, folders and sparse files in place of each file: fast, and nothing else is lost."""
    _check(victim, 25)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore")
def test_100_000_mutated_files(victim: Victim) -> None:
    """The same, 100,000 times in all."""
    _check(victim, LONG_RUN // len(VICTIMS) + 1)
