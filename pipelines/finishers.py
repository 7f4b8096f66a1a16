"""The networks that finish a model's clips, where they lie in its folder: each is there or is not, and is loaded when first used.

finishers = Finishers("assets/pocket", pipe)
finishers.has("flow")          # without loading anything
finishers.flow                 # a LatentFlow on the pipeline's device
finishers.frames               # the pipeline with the network that was trained on given frames, or the pipeline itself
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import WeightsMissing

if TYPE_CHECKING:
    from .decoder import VideoDecoder
    from .latent_flow import LatentFlow
    from .text_to_video import TextToVideoPipeline
    from .upscaling import Upscaler

FOLDER = "finishers"
Finisher = Literal["flow", "frames", "decoder", "upscaler"]
SAID = {
    "flow": "a network for the frame between two",
    "frames": "a network trained on given frames",
    "decoder": "a video decoder",
    "upscaler": "an upscaler",
}


class Finishers:
    """What finishes the clips of one model.

    Args:
        model: folder of the model; its finishers are in `finishers/flow`, `frames`, `decoder` and `upscaler` below it.
        pipe: the loaded model.
        folder: where its finishers are instead.
    """

    def __init__(self, model: str | Path, pipe: TextToVideoPipeline, folder: str | Path | None = None) -> None:
        self.model, self.pipe, self.folder = Path(model), pipe, Path(folder) if folder else Path(model) / FOLDER

    def has(self, name: Finisher) -> bool:
        """Whether the model has this one; nothing is loaded."""
        return _is_finisher(self.folder / name)

    @cached_property
    def flow(self) -> LatentFlow:
        """Twice the frames a second. Raises WeightsMissing."""
        from .latent_flow import LatentFlow

        return LatentFlow.from_pretrained(self._folder("flow")).to(self.pipe.device)

    @cached_property
    def decoder(self) -> VideoDecoder:
        """Latents of a clip to its frames, without flicker. Raises WeightsMissing."""
        from .decoder import build_decoder

        return type(build_decoder(self.pipe.vae)).from_pretrained(self._folder("decoder")).to(self.pipe.device)

    @cached_property
    def upscaler(self) -> Upscaler:
        """Twice the size. Raises WeightsMissing."""
        from .upscaling import Upscaler

        return Upscaler.from_pretrained(self._folder("upscaler")).to(self.pipe.device)

    @cached_property
    def frames(self) -> TextToVideoPipeline:
        """What fills frames in: the pipeline with the network trained on given frames where there is one, else the pipeline itself."""
        if not self.has("frames"):
            return self.pipe
        from .inflation import VideoUNet
        from .text_to_video import TextToVideoPipeline

        unet = VideoUNet.from_pretrained(self._folder("frames"), dtype=self.pipe.unet.dtype).to(self.pipe.device)
        pipe = TextToVideoPipeline(**{**self.pipe.components, "unet": unet}, generation=dict(self.pipe.config.generation or {}))
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def _folder(self, name: Finisher) -> Path:
        if not self.has(name):
            raise WeightsMissing(f"The model {self.model.name!r} comes without {SAID[name]}.", "Choose a way that needs no weights.")
        return self.folder / name


def has_finisher(model: str | Path, name: Finisher) -> bool:
    """Whether a model's folder has the finisher of that name."""
    return _is_finisher(Path(model) / FOLDER / name)


def _is_finisher(folder: Path) -> bool:
    return (folder / "config.json").is_file()
