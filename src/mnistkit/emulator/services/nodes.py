"""The nodes of a cluster: busy ones, and idle ones until they leave."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from mnistkit.emulator.routing import Refusal

__all__ = ["Nodes", "idle_seconds", "scale_settings"]

_DURATION_PATTERN = re.compile(r"PT(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_IDLE_KEY = "nodeIdleTimeBeforeScaleDown"
_DEFAULT_IDLE_TIME = "PT120S"


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
        """The number of nodes without a job that haven't left yet."""
        self._leave_at = [end for end in self._leave_at if end > time.monotonic()]
        return len(self._leave_at)

    def take(self, count: int) -> None:
        """Occupy some; idle ones first."""
        self.busy += count
        del self._leave_at[:count]

    def release(self, count: int, seconds: float) -> None:
        """Give some back; they leave after so many idle seconds."""
        count = min(count, self.busy)
        self.busy -= count
        self._leave_at += [time.monotonic() + seconds] * count


def scale_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cluster's scale settings, complete.

    Raises:
        Refusal: 400, if they can't be right.
    """
    least, most = given.get("minNodeCount") or 0, given.get("maxNodeCount")
    if type(least) is not int or type(most) is not int or not 0 <= least <= most:
        raise Refusal(400, f"A cluster has 0 <= minNodeCount <= maxNodeCount, not {least!r} and {most!r}.")
    settings = {"minNodeCount": least, "maxNodeCount": most, _IDLE_KEY: given.get(_IDLE_KEY) or _DEFAULT_IDLE_TIME}
    idle_seconds(settings)
    return settings


def idle_seconds(settings: Mapping[str, Any]) -> float:
    """Return the seconds that a node waits for a job before it leaves.

    Raises:
        Refusal: 400, if that isn't a duration.
    """
    match = _DURATION_PATTERN.fullmatch(str(settings[_IDLE_KEY]))
    if not match:
        raise Refusal(400, f"{settings[_IDLE_KEY]!r} isn't a duration such as PT120S.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds
