"""A model or a LoRA that is on this machine, and what is known of it before it is loaded. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.catalog import CatalogEntry, DescribedLora, DescribedModel

from .model_files import StoredModel

Origin = Literal["studio", "hub", "folder", "kept", "pair"]


@dataclass(frozen=True)
class ModelHere:
    """A model or a LoRA on this machine.

    Args:
        path: its directory or file; no two have the same.
        title: for people.
        origin: the studio's own, downloaded, a person's own where it lies, a file that was uploaded, or a motion module with its model.
        bytes: on the disk.
        total: bytes it will have, where it is half downloaded; else 0.
        about: what its files say; None where they cannot be used.
        problem: why not.
        entry: what the catalog says.
        stored: what was downloaded.
        pair: a motion module and the model that it moves, where it is these two.
    """

    path: Path
    title: str
    origin: Origin
    bytes: int
    total: int = 0
    about: DescribedModel | DescribedLora | None = None
    problem: str = ""
    entry: CatalogEntry | None = None
    stored: StoredModel | None = None
    pair: tuple[Path, Path] | None = None

    @property
    def short(self) -> str:
        """The last part of its name, without the owner."""
        return self.stored.hub.rpartition("/")[2] if self.stored else self.path.name

    @property
    def alone(self) -> bool:
        """Whether it is a motion module without the model that it moves."""
        return self.path.is_dir() and not (self.path / "model_index.json").exists()

    @property
    def file(self) -> str:
        """Of a repository: the one file that it is, a LoRA; "" where it is something else."""
        if not self.stored or self.path == self.stored.folder:
            return ""
        return self.path.relative_to(self.stored.folder).as_posix()

    @property
    def name(self) -> str:
        """What it is called in `remove`."""
        return str(self.path)
