"""The contract of `ModelRegistry` for concurrent callers, as tests."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from mnistkit.errors import ConflictError
from mnistkit.interfaces import ModelRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.testing.registry_base import FILES, ModelRegistrySuiteBase, content

__all__ = ["ConcurrencySuite"]


class ConcurrencySuite(ModelRegistrySuiteBase):
    """Promises to threads that register, assign and list at once; part of `ModelRegistrySuite`."""

    interface = "ModelRegistry"

    def test_threads_register_at_once(self, registry: ModelRegistry, folder: Path) -> None:
        """With 8 threads registering at once every call succeeds, and the numbers are 1 to 80 without a gap."""
        together = Barrier(8, timeout=60)

        def register_ten(thread: int) -> list[str | int]:
            answers: list[str | int] = []
            for turn in range(10):
                together.wait()
                try:
                    answers.append(_register(registry, folder, thread, turn))
                except Exception as error:  # noqa: BLE001 - no registration may fail because of another one
                    answers.append(repr(error))
            return answers

        with ThreadPoolExecutor(8) as pool:
            answers = [answer for ten in pool.map(register_ten, range(8)) for answer in ten]
        assert [answer for answer in answers if isinstance(answer, str)] == []
        assert sorted(answers, key=int) == list(range(1, 81))
        assert len({(model.version, model.run_id) for model in registry.versions("digits")}) == 80

    def test_threads_assign_at_once(self, registry: ModelRegistry, folder: Path) -> None:
        """With 8 threads assigning one alias at once every assignment is in its history."""
        registry.register("digits", folder, ModelInfo(format="files"))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: registry.assign("digits", "champion", 1, reason=str(i)), range(40)))
        reasons = {entry.reason for entry in registry.aliases("digits")["champion"]}
        assert reasons == {str(i) for i in range(40)}

    def test_threads_count(self, registry: ModelRegistry, folder: Path) -> None:
        """Of assignments that were decided on the same history exactly one succeeds: 4 threads count to 40 by it."""
        registry.register("digits", folder, ModelInfo(format="files"))

        def count_ten() -> None:
            done = 0
            while done < 10:
                history = registry.aliases("digits").get("counter", ())
                with contextlib.suppress(ConflictError):
                    registry.assign("digits", "counter", 1, reason=str(len(history) + 1), seen=history)
                    done += 1

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(count_ten) for _ in range(4)]:
                done.result()
        history = registry.aliases("digits")["counter"]
        assert [entry.reason for entry in history] == [str(number) for number in range(1, 41)]

    def test_readers_see_whole_versions(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """Whoever lists while others register sees whole versions only: each can be downloaded."""
        with ThreadPoolExecutor(2) as pool:
            writer = pool.submit(lambda: [_register(registry, folder, 0, k) for k in range(30)])
            while not writer.done():
                for model in registry.versions("digits")[:2]:
                    assert content(registry.download(model, tmp_path / model.id.replace(":", "-"))) == FILES
            assert writer.result() == list(range(1, 31))


def _register(registry: ModelRegistry, folder: Path, thread: int, turn: int) -> int:
    return registry.register("digits", folder, ModelInfo(format="files", run_id=f"{thread}-{turn}")).version
