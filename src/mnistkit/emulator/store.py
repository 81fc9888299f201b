"""A workspace's records: tables of JSON objects in one sqlite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Store", "Table"]


class Store:
    """A folder with a workspace's state; every change is written at once.

    Attributes:
        folder: The folder; services may keep files in folders of their own in it.
        lock: Held during each access, and by services that look at several records together.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.lock = threading.RLock()
        self._tables: dict[str, Table] = {}
        self._database = sqlite3.connect(folder / "state.sqlite", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")  # it survives a stop of the emulator, not one of the machine

    def table(self, name: str) -> Table:
        """Return the table of that name, made if it isn't there."""
        with self.lock:
            if name not in self._tables:
                self._tables[name] = Table(self._database, self.lock, name)
            return self._tables[name]

    def close(self) -> None:
        """Close the file; idempotent."""
        with self.lock:
            self._database.close()


class Table(MutableMapping[str, dict[str, Any]]):
    """JSON objects by key, in the order in which they came.

    What is looked up is a copy: a change counts when it is set again, or made in `change`. Only `view` and `views` give
    out the objects themselves: many can be searched in little time, and none may be changed.
    """

    def __init__(self, database: sqlite3.Connection, lock: threading.RLock, name: str) -> None:
        self._database, self._lock, self._name = database, lock, f'"{name}"'
        database.execute(f"CREATE TABLE IF NOT EXISTS {self._name} (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        rows = database.execute(f"SELECT key, value FROM {self._name} ORDER BY rowid")  # noqa: S608 - a name of ours
        self._values: dict[str, str] = dict(rows)
        self._views: dict[str, dict[str, Any]] = {}  # parsed when they are first looked at

    def __getitem__(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._values[key])
        return found

    def __setitem__(self, key: str, value: dict[str, Any]) -> None:
        text = json.dumps(value)
        with self._lock:
            self._database.execute(
                f"INSERT INTO {self._name} VALUES (?, ?) "  # noqa: S608 - a name of ours
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (key, text),
            )
            self._values[key] = text
            self._views.pop(key, None)

    def __delitem__(self, key: str) -> None:
        with self._lock:
            del self._values[key]
            self._views.pop(key, None)
            self._database.execute(f"DELETE FROM {self._name} WHERE key = ?", (key,))  # noqa: S608 - a name of ours

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> ValuesView[dict[str, Any]]:
        """Return all objects as they are at this moment."""
        return dict(self.items()).values()

    def items(self) -> ItemsView[str, dict[str, Any]]:
        """Return all keys and objects as they are at this moment."""
        with self._lock:
            texts = list(self._values.items())
        return {key: json.loads(text) for key, text in texts}.items()

    def view(self, key: str) -> Mapping[str, Any]:
        """Return an object that must not be changed.

        Raises:
            KeyError: There is none.
        """
        with self._lock:
            if key not in self._views:
                self._views[key] = json.loads(self._values[key])
            return self._views[key]

    def views(self) -> list[Mapping[str, Any]]:
        """Return all objects, in order; they must not be changed."""
        with self._lock:
            return [self.view(key) for key in self._values]

    @contextmanager
    def change(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield the object, to be changed in the block; nothing is written if that raises.

        Raises:
            KeyError: There is none.
        """
        with self._lock:
            value = self[key]
            yield value
            self[key] = value
