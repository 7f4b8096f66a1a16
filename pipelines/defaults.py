"""What a model does when nobody says otherwise. Stored in its `model_index.json` under "generation", readable without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .noise import NoisePrior

MOST_FRAMES = 2048  # of a finished clip: more do not fit comfortably into memory


@dataclass(frozen=True)
class GenerationDefaults:
    """Defaults and limits of a text-to-video model.

    Args:
        num_frames: frames of a clip.
        min_frames: fewest frames it can make.
        max_frames: most frames it can make.
        fps: frames a second.
        num_inference_steps: sampler steps.
        guidance_scale: classifier-free guidance; 1 is none.
        sampler: a name in `SAMPLERS`; "" is the model's own, for families that are sampled in one way.
        noise_kind: of the noise prior that it was trained with (PYoCo).
        noise_alpha: its strength.
        width: pixels.
        height: pixels.
    """

    num_frames: int = 16
    min_frames: int = 1
    max_frames: int = 32
    fps: float = 8.0
    num_inference_steps: int = 24
    guidance_scale: float = 2.5
    sampler: str = "ddim"
    noise_kind: str = "independent"
    noise_alpha: float = 0.0
    width: int = 64
    height: int = 64

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GenerationDefaults:
        """Unknown keys, from a newer version, are left alone."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def noise_prior(self) -> NoisePrior:
        """The noise prior that the model was trained with."""
        from .noise import NoisePrior

        return NoisePrior(self.noise_kind, self.noise_alpha)  # type: ignore[arg-type]
