"""Requests that start from pictures or clips: a reference image brought to life, and any clip finished. No torch.

Pictures and clips are named by sources: `clip:ID` is a video of the history, `clip:ID#7` a frame of it (from 0), and anything else a file
that the studio keeps in its data folder under `sources/`, named by its content (`engine.add_picture`, `engine.add_clip`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipelines.defaults import MOST_FRAMES

from .fields import Text, must_be_sampler, must_be_visible
from .model_fields import MOST_DRAWN, Height, LoraName, LoraStrength, ModelName, Width
from .video_request import MAX_PROMPT, SEEDS, NoiseKind, TextToVideoRequest

SmoothWay = Literal["learned", "optical", "network"]
Factor = Literal[1, 2, 4, 8]


@dataclass(frozen=True)
class Source:
    """Where a picture or a clip comes from: a video of the history and perhaps one of its frames, or a kept file."""

    clip: str = ""
    frame: int | None = None
    file: str = ""


def must_be_source(text: str) -> str:
    """`clip:ID`, `clip:ID#FRAME`, or the name of a kept file; never a path."""
    if text:
        source_of(text)
    return text


def source_of(text: str) -> Source:
    """What a source's text means; raises ValueError."""
    if found := re.fullmatch(r"clip:([0-9a-z]+)(?:#(\d{1,6}))?", text):
        return Source(found[1], int(found[2]) if found[2] else None)
    if re.fullmatch(r"[0-9a-z]+\.(png|mkv)", text):
        return Source(file=text)
    raise ValueError("give clip:ID, clip:ID#FRAME or the name of a file that the studio keeps")


SourceText = Annotated[Text, AfterValidator(must_be_source)]


class Finishing(BaseModel):
    """What is done to a clip once it is there, in this order; by default nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    longer: int = Field(
        0,
        title="Longer",
        description="The clip goes on for so many frames, from where it ends (Make-A-Video).",
        ge=0,
        le=MOST_FRAMES,
        json_schema_extra={"unit": "more frames"},
    )
    smoother: Factor = Field(1, title="Smoother", description="So many times as many frames a second, between those that are there.")
    smoother_way: SmoothWay = Field(
        "learned",
        title="Frames between",
        description="By a small network that corrects motion and blends (VideoGen), along the optical flow alone, or drawn by the "
        "model between the frames that are there (Make-A-Video).",
    )
    steadier: bool = Field(
        False, title="Steadier", description="Decoded as a video and not frame by frame, which flickers less (VideoGen)."
    )
    sharper: bool = Field(False, title="Sharper", description="Twice the width and height, by a small diffusion network (Make-A-Video).")

    @property
    def asks(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.longer or self.smoother > 1 or self.steadier or self.sharper)


class ReferenceRequest(Finishing):
    """A reference image brought to life, and finished."""

    kind: Literal["reference"] = Field("reference", title="Kind", description="Which kind of job this is.")
    prompt: Annotated[Text, AfterValidator(must_be_visible)] = Field(
        title="Prompt", description="What is shown and how it moves.", max_length=MAX_PROMPT
    )
    negative_prompt: Text = Field("", title="Negative prompt", description="What guidance moves away from.", max_length=MAX_PROMPT)
    picture: SourceText = Field("", title="Reference image", description="The picture that is brought to life; without one it is drawn.")
    last_picture: SourceText = Field("", title="Last picture", description="Where the motion ends; without one it goes where it goes.")
    picture_seed: int = Field(0, title="Picture's seed", description="Of the picture, where it is drawn.", ge=0, le=SEEDS - 1)
    seed: int = Field(0, title="Seed", description="Of the motion, and of all that is made after it.", ge=0, le=SEEDS - 1)
    reference_strength: float = Field(
        1.0,
        title="Reference strength",
        description="Guidance on the picture, apart from the prompt's: 0 does not look at it, 1 keeps it as the first frame, more "
        "exaggerates what it changes; between 0 and 1 it is a hint.",
        ge=0,
        le=4,
    )
    frames: int = Field(
        16, title="Length", description="How many frames the motion has.", ge=2, le=MOST_DRAWN, json_schema_extra={"unit": "frames"}
    )
    fps: float = Field(
        8.0,
        title="Frame rate",
        description="How fast the motion plays; smoother multiplies it.",
        ge=1,
        le=60,
        json_schema_extra={"unit": "frames a second"},
    )
    steps: int = Field(
        24,
        title="Quality",
        description="Denoising steps: more take longer and draw cleaner.",
        ge=1,
        le=200,
        json_schema_extra={"unit": "steps"},
    )
    guidance_scale: float = Field(
        3.0, title="Guidance", description="How strongly the prompt is followed; 1 is none and runs in half the time.", ge=1, le=30
    )
    sampler: Annotated[str, AfterValidator(must_be_sampler)] = Field(
        "ddim", title="Sampler", description="How noise is turned into video step by step; empty is the model's own way."
    )
    noise_kind: NoiseKind = Field(
        "progressive", title="Noise prior", description="How the noise of the frames is related (PYoCo, section 4)."
    )
    noise_alpha: float = Field(
        2.0, title="Noise alpha", description="How strongly the frames' noise is correlated (PYoCo's alpha); 0 is not at all.", ge=0, le=100
    )

    model: ModelName = ""
    width: Width = 0
    height: Height = 0
    lora: LoraName = ""
    lora_strength: LoraStrength = 1.0

    @property
    def headline(self) -> str:
        """What the queue calls it."""
        return self.prompt

    @property
    def made_frames(self) -> int:
        """Of the finished clip."""
        return (self.frames + self.longer - 1) * self.smoother + 1

    @property
    def made_fps(self) -> float:
        """Of the finished clip."""
        return self.fps * self.smoother


class FinishingRequest(Finishing):
    """A clip that is there already, finished."""

    kind: Literal["finishing"] = Field("finishing", title="Kind", description="Which kind of job this is.")
    source: Annotated[SourceText, AfterValidator(must_be_visible)] = Field(title="Clip", description="The clip that is finished.")
    prompt: Text = Field("", title="Prompt", description="What the clip shows and how it moves, if it is known.", max_length=MAX_PROMPT)
    frames: int = Field(16, title="Length", description="Of the clip that is finished.", ge=1, le=MOST_FRAMES)
    fps: float = Field(8.0, title="Frame rate", description="Of the clip that is finished.", gt=0, le=240)
    seed: int = Field(0, title="Seed", description="Of what is drawn.", ge=0, le=SEEDS - 1)
    steps: int = Field(24, title="Quality", description="Denoising steps, where frames are drawn.", ge=1, le=200)

    @property
    def headline(self) -> str:
        """What the queue calls it."""
        return self.prompt or "your clip"

    @property
    def made_frames(self) -> int:
        """Of the finished clip."""
        return (self.frames + self.longer - 1) * self.smoother + 1

    @property
    def made_fps(self) -> float:
        """Of the finished clip."""
        return self.fps * self.smoother


ClipRequest = TextToVideoRequest | ReferenceRequest | FinishingRequest  # what a video of the history can have been asked for with
