"""Wan VACE (Alibaba): text to video, and picture to video with the same weights, on Wan 2.1.

Jiang et al., "VACE: All-in-One Video Creation and Editing", arXiv 2503.07598. Its masks, references and controls are not here.
"""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInput
from .family import Capabilities, Directory, FrameRule, Order
from .wan import Wan, encoded

GREY = (128, 128, 128)


class WanVace(Wan):
    """Wan VACE: to it, a first frame is a clip of which the rest is masked, to be made."""

    name, title = "wan-vace", "Wan VACE"
    pipelines = ("WanVACEPipeline",)

    def capabilities(self, directory: Directory) -> Capabilities:
        can = super().capabilities(directory)
        return Capabilities(FrameRule(can.frames.step, 1, 1, 161), can.size_unit, "optional", can.cannot)

    def pipeline_for(self, pipe: Any, order: Order) -> Any:
        return pipe

    def inputs(self, pipe: Any, order: Order) -> dict[str, Any]:
        if len(order.prompts) > 1:
            raise InvalidInput(f"{len(order.prompts)} videos were asked for at once.", "This model makes one at a time.")
        inputs = encoded(pipe, order)
        if isinstance(order.generator, list):
            inputs["generator"] = order.generator[0]
        return inputs if order.picture is None else inputs | first_frame(order)


def first_frame(order: Order) -> dict[str, Any]:
    """The picture as the start of a clip; white in the mask is what is to be made."""
    from PIL import Image

    size, rest = (order.width, order.height), order.frames - 1
    clip = [order.picture, *[Image.new("RGB", size, GREY)] * rest]
    return {"video": clip, "mask": [Image.new("L", size, 0), *[Image.new("L", size, 255)] * rest]}
