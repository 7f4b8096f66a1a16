"""What the buttons find beside the jobs: the model and its limits, a person's own models, pictures and clips, files of the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.defaults import GenerationDefaults
from pipelines.domain_models import DomainModel

from . import finishing, media
from .choosing import Chosen
from .domain_training import keep_clips
from .history import History
from .making import Bench
from .requests import ClipRequest, FinishingRequest, parse_clip_request
from .residency import MemoryReport, ModelPool, ResidentModel
from .settings import Settings
from .sources import Kept
from .tuned_models import TunedModels, TunedRecord


class Shelf:
    """The part of the engine that neither queues nor runs anything."""

    settings: Settings
    pool: ModelPool
    history: History
    bench: Bench
    tuned_models: TunedModels

    # -- Models -------------------------------------------------------------------------------------------------------

    def defaults(self) -> GenerationDefaults:
        """The model's own settings and limits, read without loading it."""
        return self.chosen().defaults

    def chosen(self, model: str = "") -> Chosen:
        """The model that requests name so, "" being the studio's own; raises StudioError where it is not here, or cannot be used."""
        return self.bench.choosing.model(model)

    def completed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a request, with those of its model and LoRA where it says nothing; raises StudioError where these are not here."""
        name, lora = values.get("model") or "", values.get("lora") or ""
        if not isinstance(name, str) or not isinstance(lora, str):
            return dict(values)
        chosen = self.chosen(name)
        return {**chosen.settings(), **self.bench.choosing.advised(lora, chosen), **values}

    def domain_models(self) -> list[DomainModel]:
        """Those that ship with the model, then a person's own."""
        return self.bench.domain_models()

    def add_tuned_model(self, path: str | Path) -> TunedRecord:
        """Takes the file of a tuned model, whether or not the model that it belongs to is here already.

        Raises:
            WeightsDamaged: when it is none.
            StorageError: when there is no room.
        """
        return self.tuned_models.add(Path(path))

    def resident(self) -> list[ResidentModel]:
        """The loaded models."""
        return self.pool.resident()

    def memory(self) -> MemoryReport:
        """Memory of the device."""
        return self.pool.memory()

    # -- Pictures and clips -------------------------------------------------------------------------------------------

    def keep_clips(self, files: Sequence[str | Path]) -> Path:
        """Uploaded clips as a folder that a training can read now and after a restart."""
        return keep_clips(files, self.settings.data_dir)

    def add_picture(self, path: str | Path, model: str = "") -> Kept:
        """Keeps a person's picture, cropped to the model's size; its name is a source for requests.

        Raises:
            InvalidInput: when it is no picture, or too large or small.
            StorageError: when there is no room.
        """
        media.check_folder(self.settings.data_dir)
        return self.bench.sources.add_picture(path, self.chosen(model).size(0, 0))

    def add_clip(self, path: str | Path) -> Kept:
        """Keeps a person's clip, cropped to the model's size; its name is a source for requests.

        Raises:
            InvalidInput: when it cannot be read, or not within a minute.
            StorageError: when there is no room.
        """
        media.check_folder(self.settings.data_dir)
        return self.bench.sources.add_clip(path)

    def finishing_of(self, clip_id: str, step: finishing.FinishingStep) -> FinishingRequest:
        """What the button "smoother", "sharper", "longer" or "steadier" asks for: of a video of the history, by its id, or of a kept
        clip, by its name.

        Raises:
            InvalidInput, JobError: when there is no such clip, or it cannot be finished so.
        """
        return finishing.finishing_of(clip_id, step, self.bench)

    # -- Files --------------------------------------------------------------------------------------------------------

    def restore(self, path: str | Path) -> ClipRequest:
        """The settings inside an MP4 that the studio wrote.

        Raises:
            InvalidInput: when it is not one.
        """
        return parse_clip_request(media.read_metadata(Path(path))["request"])

    def gif(self, clip_id: str) -> Path:
        """The video as a GIF, made when it is first asked for."""
        clip = self.history.get(clip_id)
        path = clip.path.with_suffix(".gif")
        if not path.exists():
            media.write_gif(media.read_frames(clip.path), clip.fps, path)
        return path
