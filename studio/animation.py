"""A picture brought to life by a model that was trained for it (Wan, LTX, CogVideoX, HunyuanVideo, SVD, I2VGen-XL): its own motion stage.

The studio's own kind of model takes given frames instead (`pipelines.reference`); what comes after the motion is the same for all.
Pixel video is uint8 (f, h, w, 3). No torch until something is made.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput
from pipelines.memory import Job

from . import ability, media
from .chain import Planned
from .choosing import Chosen
from .finishing_stages import Drawing
from .loras import lora_weights, with_lora_of
from .making import Bench
from .reference_requests import ReferenceRequest

if TYPE_CHECKING:
    import numpy as np

    from .chain import Ticker
    from .places import Resident

PICTURE_COST = 0.2  # of a picture, compared with a clip: small as it is, each step has work that does not shrink


def animates(chosen: Chosen) -> bool:
    """Whether the model starts from a picture by itself."""
    return chosen.capabilities.picture != "none"


def check(request: ReferenceRequest, chosen: Chosen, bench: Bench) -> None:
    """Refuses what such a model cannot make.

    Raises:
        InvalidInput: naming what it cannot do, and why.
    """
    title = chosen.title
    if request.last_picture:
        raise InvalidInput("A last picture was given.", f"{title!r} starts from a picture and goes where it goes: leave the last one out.")
    if request.reference_strength != 1:
        happened = f"The reference strength is {request.reference_strength:g}."
        raise InvalidInput(happened, f"{title!r} keeps its picture as it was trained to: leave the strength at 1.")
    if not request.picture and chosen.capabilities.picture == "needed":
        raise InvalidInput(f"The model {title!r} draws no single pictures.", "Give a reference image.")
    ability.check(request, chosen, bench.choosing, with_picture=True)


@dataclass(frozen=True)
class Animation:
    """The first stages of a request, with the borrowed model.

    Args:
        request: what is asked for.
        drawing: how frames are drawn.
        resident: the borrowed model.
        chosen: what is known of it.
        bench: what it is made with.
        notes: takes what was done for want of memory.
    """

    request: ReferenceRequest
    drawing: Drawing
    resident: Resident
    chosen: Chosen
    bench: Bench
    notes: list[str] = field(default_factory=list)

    def plan(self) -> list[Planned]:
        """All stages that are not given."""
        return [*([] if self.request.picture else [self._picture()]), self._motion()]

    @property
    def _decides(self) -> dict[str, Any]:
        width, height = self.chosen.size(self.request.width, self.request.height)
        return {**asdict(self.drawing), "width": width, "height": height, "lora": [self.request.lora, self.request.lora_strength]}

    @property
    def _weights(self) -> dict[str, str]:
        return {**self.resident.model.weights, **lora_weights(self.request, self.chosen, self.bench)}

    def _picture(self) -> Planned:
        request, seed = self.request, self.request.picture_seed
        decides = {**self._decides, "seed": seed, "fps": request.fps}
        cost = PICTURE_COST * request.steps * self.drawing.passes

        def make(_: np.ndarray, ticker: Ticker) -> np.ndarray:
            return self._drawn(1, seed, ticker)

        return Planned("picture", (), decides, self._weights, request.fps, request.steps, cost, make)

    def _motion(self) -> Planned:
        request = self.request
        decides = {**self._decides, "frames": request.frames}
        cost = float(request.steps * self.drawing.passes)

        def make(before: np.ndarray, ticker: Ticker) -> np.ndarray:
            return self._drawn(request.frames, request.seed, ticker, before[0])

        return Planned("motion", ("picture",), decides, self._weights, request.fps, request.steps, cost, make)

    def _drawn(self, frames: int, seed: int, ticker: Ticker, picture: np.ndarray | None = None) -> np.ndarray:
        """Frames from the model's own call, in the memory there is."""
        from PIL import Image

        width, height = self.chosen.size(self.request.width, self.request.height)
        given = {} if picture is None else {"image": Image.fromarray(picture)}

        def make(note: str) -> Any:
            self.notes[:] = [note]
            ticker.done = 0
            sampling = self.drawing.sampling(seed=seed).call(ticker)
            output = self.resident.pipe(
                self.request.prompt, num_frames=frames, width=width, height=height, fps=self.request.fps, **given, **sampling
            )
            return output.frames[0]

        job = Job(width, height, frames, guided=self.drawing.passes > 1)
        # Before the model takes a cheaper form: in eight bits it would take no LoRA.
        with with_lora_of(self.request, self.resident, self.chosen, self.bench):
            return media.to_uint8(self.bench.pool.room(self.resident, self.chosen.path, job).run(make))
