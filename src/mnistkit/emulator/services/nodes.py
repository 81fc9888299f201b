"""The nodes of a cluster: how many are busy, how many wait, and for how long."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.routing import Refusal

__all__ = ["Nodes", "idle_seconds", "scale_settings"]

_DURATION = re.compile(r"PT(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_IDLE = "nodeIdleTimeBeforeScaleDown"
_USUAL_IDLE = "PT120S"


class Nodes:
    """The nodes of a cluster beyond its minimum.

    Attributes:
        busy: How many have a job.
    """

    def __init__(self) -> None:
        self.busy = 0
        self._leave_at: list[float] = []

    @property
    def idle(self) -> int:
        """How many wait for a job, until they have been idle for too long."""
        self._leave_at = [end for end in self._leave_at if end > time.monotonic()]
        return len(self._leave_at)

    def take(self, count: int) -> None:
        """Occupy some; idle ones first."""
        self.busy += count
        del self._leave_at[:count]

    def release(self, count: int, seconds: float) -> None:
        """Give some back, which then stay for so many seconds."""
        count = min(count, self.busy)
        self.busy -= count
        self._leave_at += [time.monotonic() + seconds] * count


def scale_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """A cluster's scale settings, complete.

    Raises:
        Refusal: 400, if they can't be right.
    """
    least, most = given.get("minNodeCount") or 0, given.get("maxNodeCount")
    if type(least) is not int or type(most) is not int or not 0 <= least <= most:
        raise Refusal(400, f"A cluster has 0 <= minNodeCount <= maxNodeCount, not {least!r} and {most!r}.")
    settings = {"minNodeCount": least, "maxNodeCount": most, _IDLE: given.get(_IDLE) or _USUAL_IDLE}
    idle_seconds(settings)
    return settings


def idle_seconds(settings: Mapping[str, Any]) -> float:
    """How long a node waits for a job before it goes.

    Raises:
        Refusal: 400, if that isn't a duration.
    """
    match = _DURATION.fullmatch(str(settings[_IDLE]))
    if not match:
        raise Refusal(400, f"{settings[_IDLE]!r} isn't a duration such as PT120S.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds
