"""Tuned models that were kept, a folder for each. No torch to list them.

NAME/about.json               what it is
NAME/step-00060.safetensors   a checkpoint (`pipelines.tuned_model`)
NAME/source.png               the frames of its clip, under each other
NAME/thumbnail.png
NAME/inverted/                noise that was found from the clip, for each checkpoint and number of steps
NAME/training/                what is needed to go on, until it is finished
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput, StorageError, WeightsDamaged

from . import media, source_clips
from .fields import must_be_name, slug

if TYPE_CHECKING:
    import numpy as np

    from pipelines.tuned_model import TunedModel

ABOUT, SOURCE, THUMBNAIL = "about.json", "source.png", "thumbnail.png"


@dataclass(frozen=True)
class TunedRecord:
    """What is known of a tuned model.

    Args:
        name: of its folder; requests name it.
        title: what a person calls it.
        caption: of its clip.
        base: `pipelines.tuned_model.base_hash` of the network it was tuned on.
        base_name: of that model, as requests named it then.
        signature: of that model's files (`pipelines.signatures`); empty where an older version tuned it.
        checkpoints: steps after which it was kept, the last one last.
        frames, fps, width, height: of its clip, as the model sees it.
        edit: the prompt that was tried out while it learned.
        seconds: that its tuning took, with the samples.
        finished: its tuning has reached its last step.
        request: of its tuning; empty for one that came as a file.
        created: when, in UTC.
        folder: where it is.
    """

    name: str
    title: str
    caption: str
    base: str
    base_name: str
    checkpoints: tuple[int, ...]
    frames: int
    fps: float
    width: int
    height: int
    edit: str = ""
    signature: str = ""
    seconds: float = 0.0
    finished: bool = True
    request: dict[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    folder: Path = Path()

    @property
    def steps(self) -> int:
        """Of tuning."""
        return self.checkpoints[-1]

    @property
    def thumbnail(self) -> Path:
        return self.folder / THUMBNAIL

    def file(self, steps: int = 0) -> Path:
        """The checkpoint after so many steps; 0 is the last.

        Raises:
            InvalidInput: when there is none.
        """
        if steps and steps not in self.checkpoints:
            happened = f"The tuned model {self.name!r} has no checkpoint after {steps} steps."
            raise InvalidInput(happened, f"Choose one of {', '.join(map(str, self.checkpoints))}.")
        return checkpoint(self.folder, steps or self.steps)

    def source(self) -> np.ndarray:
        """The frames of its clip, uint8 (f, h, w, 3).

        Raises:
            StorageError: when they cannot be read.
        """
        return read_source(self.folder, self.frames)


def checkpoint(folder: Path, steps: int) -> Path:
    return folder / f"step-{steps:05}.safetensors"


def read_source(folder: Path, frames: int) -> np.ndarray:
    try:
        return source_clips.unpack((folder / SOURCE).read_bytes(), frames)
    except OSError as error:
        raise StorageError(f"The frames in {str(folder)!r} cannot be read ({error.strerror}).", "Tune on the clip again.") from error


def write_source(folder: Path, frames: np.ndarray) -> None:
    """Frames and thumbnail.

    Raises:
        StorageError: when there is no room.
    """
    write(folder / SOURCE, source_clips.pack(frames))
    media.write_thumbnail(frames, folder / THUMBNAIL)


def write(path: Path, data: bytes) -> None:
    """A file, whole or not at all.

    Raises:
        StorageError: when it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise StorageError(f"{str(path)!r} cannot be written ({error.strerror or error}).", media.REMEDY) from error


class TunedModels:
    """All tuned models of a data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __iter__(self) -> Iterator[TunedRecord]:
        """The newest first; a folder that cannot be read is left out."""
        found = [record for path in self.folder.glob(f"*/{ABOUT}") if (record := _read(path))]
        return iter(sorted(found, key=lambda record: (record.created, record.name), reverse=True))

    def find(self, name: str) -> TunedRecord | None:
        return _read(self.folder / name / ABOUT) if name and name == slug(name) else None

    def get(self, name: str) -> TunedRecord:
        """The tuned model of that name.

        Raises:
            InvalidInput: when there is none.
        """
        record = self.find(name)
        if record is None:
            known = ", ".join(each.name for each in self)
            raise InvalidInput(f"There is no tuned model {name!r}.", f"Choose one of {known}." if known else "Tune one on a clip first.")
        return record

    def free_title(self, wanted: str) -> str:
        """The title, or with a number where it is taken."""
        title, n = wanted, 1
        while (self.folder / slug(title)).exists():
            n += 1
            title = f"{wanted} {n}"
        return title

    def keep(self, record: TunedRecord) -> TunedRecord:
        """Writes what is known of it.

        Raises:
            StorageError: when it cannot be written.
        """
        folder = self.folder / record.name
        values = asdict(record)
        del values["folder"], values["name"]
        write(folder / ABOUT, json.dumps(values, indent=2).encode())
        return replace(record, folder=folder)

    def rename(self, name: str, title: str) -> TunedRecord:
        """Another title; the name in requests stays, so that what was made with it can be made again.

        Raises:
            InvalidInput: for a title that cannot be used.
        """
        record, title = self.get(name), " ".join(title.split())
        try:
            must_be_name(title)
        except ValueError as error:
            raise InvalidInput(f"The name {title!r} cannot be used.", f"{str(error).capitalize()}.") from error
        return self.keep(replace(record, title=title[:60]))

    def delete(self, name: str) -> None:
        """Removes it for good.

        Raises:
            InvalidInput: when there is none.
            StorageError: when it cannot be removed.
        """
        folder = self.get(name).folder
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StorageError(f"{str(folder)!r} cannot be deleted ({error.strerror}).", "Check the folder's permissions.") from error

    # -- Shared as files ----------------------------------------------------------------------------------------------

    def export(self, name: str, folder: Path) -> Path:
        """The model and the frames of its clip as one file, under its present title.

        Raises:
            StorageError, WeightsDamaged: when it cannot be read or written.
        """
        from pipelines.tuned_model import read_tuned_model, save_tuned_model
        from pipelines.tuned_network import Tuned

        record = self.get(name)
        about, tensors = read_tuned_model(record.file()), _tensors(record.file())
        kept = {each: getattr(record, each) for each in ("frames", "fps", "width", "height", "edit")}
        source = base64.b64encode(source_clips.pack(record.source())).decode()
        path = folder / f"{slug(record.title)}.safetensors"
        about = replace(about, name=record.title, settings={**about.settings, "clip": kept, "source": source})
        save_tuned_model(path, Tuned(tensors, about.sparse_causal), about)
        return path

    def add(self, path: Path) -> TunedRecord:
        """Takes a file that `export` wrote; one whose name is taken gets a number.

        Raises:
            WeightsDamaged: when it is no tuned model, or one without its clip.
            StorageError: when there is no room.
        """
        from pipelines.tuned_model import read_tuned_model

        about = read_tuned_model(path)
        record, frames = _from_file(about, path, self.free_title(_plain(about.name)))
        folder = self.folder / record.name
        try:
            write_source(folder, frames)
            shutil.copyfile(path, checkpoint(folder, record.steps))
            return self.keep(record)
        except (StorageError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"The tuned model cannot be kept in {str(folder)!r} ({error.strerror}).", media.REMEDY) from error


def _read(path: Path) -> TunedRecord | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name: values[each.name] for each in fields(TunedRecord) if each.name in values}
        return TunedRecord(**known | {"name": path.parent.name, "folder": path.parent, "checkpoints": tuple(values["checkpoints"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_file(about: TunedModel, path: Path, title: str) -> tuple[TunedRecord, np.ndarray]:
    try:
        clip = about.settings["clip"]
        frames = source_clips.unpack(base64.b64decode(about.settings["source"]), int(clip["frames"]))
        record = TunedRecord(
            name=slug(title),
            title=title,
            caption=about.caption,
            base=about.base,
            base_name=about.base_name,
            checkpoints=(max(1, about.steps),),
            frames=len(frames),
            fps=float(clip["fps"]),
            width=frames.shape[2],
            height=frames.shape[1],
            edit=str(clip.get("edit", "")),
            signature=about.signature,
        )
    except (KeyError, ValueError, TypeError, binascii.Error, StorageError) as error:
        raise WeightsDamaged(
            f"{path.name!r} is a tuned model without its clip.", "Choose a file that was downloaded from a studio."
        ) from error
    return record, frames


def _plain(name: str) -> str:
    """A name from a file, as one that can be used here."""
    kept = "".join(character for character in name if character.isascii() and (character.isalnum() or character in " _.-"))
    return kept.strip(" _.-")[:50] or "tuned"


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsDamaged(f"{str(path)!r} is not a tuned model, or not a whole one.", "Tune on the clip again.") from error
