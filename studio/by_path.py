"""What a person chose for single models and LoRAs, by their paths: one JSON file of the data folder, written whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import StorageError


class ByPath:
    """A file of values by path.

    Args:
        file: in the data folder.
        again: what to do once it was deleted, for people.
    """

    def __init__(self, file: Path, again: str) -> None:
        self._file, self._again = file, again
        self._lock = threading.Lock()

    def get(self, path: Path) -> dict[str, Any]:
        """What is kept of a path; empty where nothing is. Raises StorageError when the file is not readable."""
        return self._read().get(_key(path), {})

    def put(self, path: Path, values: Mapping[str, Any]) -> None:
        """Keeps the values of a path; without any, nothing of it.

        Raises:
            StorageError: when the file is not readable, or cannot be written.
        """
        with self._lock:
            kept = {one: known for one, known in self._read().items() if one != _key(path)}
            self._write(kept | ({_key(path): dict(values)} if values else {}))

    def changed_at(self) -> int:
        """When something was last kept, in nanoseconds; 0 is never."""
        return self._file.stat().st_mtime_ns if self._file.exists() else 0

    def damaged(self) -> StorageError:
        """What to say where the file cannot be used."""
        return StorageError(f"{str(self._file)!r} is not readable.", f"Delete it, and {self._again}.")

    def _read(self) -> dict[str, dict[str, Any]]:
        if not self._file.exists():
            return {}
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self.damaged() from error
        if not isinstance(kept, dict) or not all(isinstance(each, dict) for each in kept.values()):
            raise self.damaged()
        return kept

    def _write(self, kept: Mapping[str, Any]) -> None:
        part = self._file.with_suffix(".part")
        try:
            part.write_text(json.dumps(kept, indent=1), encoding="utf-8")
            os.replace(part, self._file)
        except OSError as error:
            raise StorageError(f"{str(self._file)!r} cannot be written ({error.strerror}).", "Make room on the disk.") from error


def _key(path: Path) -> str:
    return str(path.resolve())
