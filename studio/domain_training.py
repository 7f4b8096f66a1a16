"""A training job: a small domain model of a person's own, from a folder of clips. What it has learned is kept whenever it ends.

The folder of the domain model holds its checkpoints until its time is used up, so that the same request goes on where the last one
was stopped or killed. No torch is imported before a job runs.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.domain_models import FILE
from pipelines.errors import InvalidInput, StorageError

from . import media
from .events import Learning
from .fields import slug
from .learning import LossCurve, Losses, past_losses
from .making import Bench, Making
from .requests import DomainTrainingRequest

if TYPE_CHECKING:
    import numpy as np


def check(request: DomainTrainingRequest, bench: Bench) -> None:
    """Refuses what cannot be learned from, before it is queued; nothing is decoded.

    Raises:
        InvalidInput: for a name that is taken, or a folder without clips or captions.
    """
    from pipelines.training.clips import find_clips

    name, folder = slug(request.name), folder_of(request, bench)
    taken = any(model.name == name and model.folder != folder for model in bench.domain_models())
    if taken or is_finished(folder):
        raise InvalidInput(f"There is a domain model {name!r} already.", "Choose another name.")
    find_clips(Path(request.clips).expanduser(), request.caption)


def make(making: Making, bench: Bench) -> None:
    """Learns until the time is used up or `making.stop` is set; either way the domain model is there afterwards."""
    from pipelines.training.clips import ClipFolder
    from pipelines.training.domain import train_on_clips
    from pipelines.training.domain_recipe import DomainRecipe

    request = making.request
    assert isinstance(request, DomainTrainingRequest)
    shutil.rmtree(making.previews, ignore_errors=True)
    folder = folder_of(request, bench)
    recipe = DomainRecipe(minutes=request.minutes, share=request.share, sample_every_s=min(60.0, max(5.0, request.minutes * 10)))
    with bench.pool.borrow(bench.settings.model_dir) as resident, _attention_as_before():
        own = resident.pipe.defaults
        bench.tell(Learning(making.job_id, 0, 0.0, (), None, None))
        source = Path(request.clips).expanduser()
        clips = ClipFolder.read(source, request.caption, width=own.width, height=own.height, frames=own.num_frames, fps=own.fps)
        teller = Teller(making, bench, clips.notes, own.fps, past_losses(folder / "training" / "loss.csv"))
        train_on_clips(
            resident.pipe,
            clips,
            folder,
            recipe,
            title=request.name,
            caption=request.caption,
            base=resident.model.name,
            on_step=teller.step,
            on_sample=teller.sample,
            should_stop=making.stop.is_set,
        )


class Teller:
    """Tells what the training does, a few times a second.

    Args:
        making: the job.
        bench: takes the events.
        notes: on the clips, for the person.
        fps: of samples.
        losses: of an earlier part of the same training, (minutes, loss).
    """

    def __init__(self, making: Making, bench: Bench, notes: Sequence[str], fps: float, losses: Losses) -> None:
        assert isinstance(making.request, DomainTrainingRequest)
        self.making = making
        self.bench = bench
        self.notes = tuple(notes)
        self.fps = fps
        self.curve = LossCurve(losses)
        self.seconds = 60 * making.request.minutes
        self.newest: Path | None = None

    def step(self, progress: Any, loss: float) -> None:
        """After each training step; `progress` is the loop's."""
        if not self.curve.add(progress.seconds / 60, loss):
            return
        left = max(0.0, self.seconds - progress.seconds)
        share = min(1.0, progress.seconds / self.seconds)
        self.bench.tell(Learning(self.making.job_id, progress.step, share, self.curve.thinned, self.newest, left, self.notes))

    def sample(self, clips: np.ndarray, prompts: list[str], tag: str) -> None:
        """Clips uint8 (n, f, h, w, 3) that the model draws now become one looping picture, side by side."""
        import numpy as np

        self.newest = self.making.previews / f"{self.making.job_id}-{uuid.uuid4().hex[:6]}.webp"
        media.write_preview(np.concatenate(list(clips), axis=2), self.fps, self.newest)


def folder_of(request: DomainTrainingRequest, bench: Bench) -> Path:
    return bench.settings.data_dir / "domain_models" / slug(request.name)


def is_finished(folder: Path) -> bool:
    """Whether its training has used up its time; `pipelines.training.domain` says the same with torch."""
    return (folder / FILE).exists() and not (folder / "training").exists()


def keep_clips(files: Sequence[str | Path], data_dir: Path) -> Path:
    """Uploaded clips, and captions beside them, copied to where an interrupted training finds them again.

    Raises:
        StorageError: when there is no room.
    """
    folder = data_dir / "training_clips" / uuid.uuid4().hex[:12]
    try:
        folder.mkdir(parents=True)
        for file in map(Path, files):
            shutil.copyfile(file, folder / file.name)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StorageError(f"The clips cannot be kept in {str(folder)!r} ({error.strerror}).", media.REMEDY) from error
    return folder


@contextmanager
def _attention_as_before() -> Iterator[None]:
    """Training turns a kind of attention off that is slow in its backward; afterwards it is as it was."""
    import torch

    flash = torch.backends.cuda.flash_sdp_enabled()
    try:
        yield
    finally:
        torch.backends.cuda.enable_flash_sdp(flash)
