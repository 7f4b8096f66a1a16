"""The request of one video: a prompt and everything that decides which video it becomes. No torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pipelines.samplers import SAMPLERS

from .fields import Text, must_be_sampler, must_be_visible
from .model_fields import MOST_DRAWN, Height, LoraName, LoraStrength, ModelName, Width

NoiseKind = Literal["independent", "mixed", "progressive"]
Composition = Literal["normalised", "paper"]
StrengthSchedule = Literal["constant", "fading"]
Shows = Literal["edit", "reconstruction", "source"]
MAX_PROMPT = 2000
SEEDS = 2**32


class TextToVideoRequest(BaseModel):
    """A prompt and everything that decides which video it becomes. The defaults are the pocket model's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["text_to_video"] = Field("text_to_video", title="Kind", description="Which kind of job this is.")
    prompt: Annotated[Text, AfterValidator(must_be_visible)] = Field(
        title="Prompt", description="What the video shows, in your own words.", max_length=MAX_PROMPT
    )
    negative_prompt: Text = Field("", title="Negative prompt", description="What guidance moves away from.", max_length=MAX_PROMPT)
    seed: int = Field(
        0,
        title="Seed",
        description="The same seed with the same settings gives the same video; variations count up from it.",
        ge=0,
        le=SEEDS - 1,
    )
    frames: int = Field(
        16, title="Length", description="How many frames the video has.", ge=1, le=MOST_DRAWN, json_schema_extra={"unit": "frames"}
    )
    fps: float = Field(
        8.0,
        title="Frame rate",
        description="How fast the video plays; the pocket model is told, as in Make-A-Video.",
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
        3.0,
        title="Guidance",
        description="How strongly the prompt is followed (classifier-free guidance); 1 is none and runs in half the time.",
        ge=1,
        le=30,
    )
    sampler: Annotated[str, AfterValidator(must_be_sampler)] = Field(
        "ddim",
        title="Sampler",
        description="How noise is turned into video step by step; empty is the model's own way.",
        json_schema_extra={"choices": list(SAMPLERS)},
    )
    noise_kind: NoiseKind = Field(
        "progressive", title="Noise prior", description="How the noise of the frames is related (PYoCo, section 4)."
    )
    noise_alpha: float = Field(
        2.0, title="Noise alpha", description="How strongly the frames' noise is correlated (PYoCo's alpha); 0 is not at all.", ge=0, le=100
    )
    variations: int = Field(
        1,
        title="Variations",
        description="How many videos are made, with seeds that count up.",
        ge=1,
        le=4,
        json_schema_extra={"unit": "videos"},
    )

    domain_model: Text = Field(
        "",
        title="Domain model",
        description="A small model of one look, with the studio's model as its prior (Video Adapter).",
        max_length=80,
    )
    prior_model: Text = Field(
        "",
        title="Prior",
        description="A model that is here, as the prior of the chosen one (Video Adapter), whose latents it must share. Under a LoRA it "
        "may be the model itself, without the LoRA.",
        max_length=200,
    )
    prior_strength: float = Field(
        0.5,
        title="Prior strength",
        description="How much of the prior is mixed into the domain model (Video Adapter's gamma); 0 is the domain model alone.",
        ge=0,
        le=10,
    )
    composition: Composition = Field(
        "normalised",
        title="Composition",
        description="The weighted mean of the two predictions, or their sum as in the paper, which needs small strengths.",
    )
    strength_schedule: StrengthSchedule = Field(
        "constant",
        title="Strength over the steps",
        description="Always the same, or full in the noisiest steps, where the content is decided, and fading where the style is.",
    )
    langevin_steps: int = Field(
        0,
        title="Langevin steps",
        description="Corrections after each denoising step that keep the composition sharp; each one costs as much as a step.",
        ge=0,
        le=10,
        json_schema_extra={"unit": "a denoising step"},
    )
    prior_prompt: Text = Field(
        "",
        title="Prompt of the prior",
        description="What the prior is told instead, where it does not know the domain's words; empty is the prompt itself.",
        max_length=MAX_PROMPT,
    )

    tuned_model: Text = Field(
        "",
        title="Tuned model",
        description="A model tuned on one clip: the video is an edit of that clip (Tune-A-Video).",
        max_length=80,
    )
    tuned_steps: int = Field(
        0,
        title="Checkpoint",
        description="After how many steps of tuning: earlier ones change more, later ones keep more of the clip; 0 is the last.",
        ge=0,
        json_schema_extra={"unit": "steps"},
    )
    structure: float = Field(
        1.0,
        title="Structure kept",
        description="How much of the clip's inverted noise an edit starts from; the rest is fresh noise of the seed.",
        ge=0,
        le=1,
    )
    base_strength: float = Field(
        0.0,
        title="Base strength",
        description="How much of the untuned model is mixed in as a prior; 0 is the tuned model alone, more goes further from the clip.",
        ge=0,
        le=10,
    )
    shows: Shows = Field(
        "edit", title="Shows", description="Of a tuned model: an edit, its clip as the model reconstructs it, or the clip itself."
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
        """Of the video."""
        return self.frames

    @property
    def made_fps(self) -> float:
        """Of the video."""
        return self.fps

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed a variation: seed, seed + 1, ..."""
        return tuple((self.seed + i) % SEEDS for i in range(self.variations))

    def variation(self, seed: int) -> TextToVideoRequest:
        """The request that gives exactly one of the variations."""
        return self.model_copy(update={"seed": seed, "variations": 1})

    @property
    def prior(self) -> str:
        """The model here that has a say in the video beside the request's own; "" for none, and where its strength is 0."""
        return self.prior_model if self.prior_strength else ""

    @property
    def mixed(self) -> bool:
        """Whether it names two models that are mixed."""
        return bool(self.domain_model or self.prior_model)

    def alone(self) -> TextToVideoRequest:
        """The same without a second model; what says how it is mixed in is back at its default."""
        return self._at_defaults(("domain_model", "prior_model", *MIXING))

    def prior_alone(self) -> TextToVideoRequest:
        """The video of the prior: a domain model's is the request's own model, a model's is the one that is named, without a LoRA."""
        if not self.prior_model:
            return self.alone()
        return self.alone()._at_defaults(("lora", "lora_strength")).model_copy(update={"model": self.prior_model})

    def _at_defaults(self, names: tuple[str, ...]) -> TextToVideoRequest:
        return self.model_copy(update={name: type(self).model_fields[name].default for name in names})


MIXING = (
    "prior_strength",
    "composition",
    "strength_schedule",
    "langevin_steps",
    "prior_prompt",
)  # how a domain model and its prior are mixed
TUNING = ("tuned_model", "tuned_steps", "structure", "base_strength", "shows")  # how a clip is edited with a model tuned on it
