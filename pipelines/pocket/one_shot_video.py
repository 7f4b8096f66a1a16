"""How well one-shot tuning brings a clip of somebody's own back: PSNR beside the autoencoder's limit, and flicker beside the source's.

    python -m pipelines.pocket one-shot --video FILE --caption "a man is skiing"

The clip is tuned on, inverted, and sampled again from its inverted noise with its own caption and without guidance. What the autoencoder
loses is lost in any case: encoding and decoding alone is the limit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..one_shot import OneShotTuner, TuningSettings, default_steps, edit, encode_clip, invert
from ..text_to_video import TextToVideoPipeline
from ..training.clips import ClipFolder
from ..video_metrics import psnr, warping_error
from .evaluate import to_pixels
from .sheet import Row, write_rows

MOST_LOST = 3.0  # dB below the autoencoder's limit


@dataclass(frozen=True)
class Return:
    """A clip and what came back of it, all uint8 (f, h, w, 3).

    Args:
        source: the frames that the model saw.
        limit: encoded and decoded.
        back: tuned, inverted and sampled.
        seconds: of tuning, inversion and sampling.
    """

    source: np.ndarray
    limit: np.ndarray
    back: np.ndarray
    seconds: tuple[float, float, float]

    @property
    def lost(self) -> float:
        """dB below the limit."""
        return psnr(self.limit, self.source) - psnr(self.back, self.source)

    def __str__(self) -> str:
        clips = {"source": self.source, "autoencoder's limit": self.limit, "reconstruction": self.back}
        lines = [f"\n  {'':24}{'PSNR dB':>10}{'flicker':>10}"]
        for name, clip in clips.items():
            quality = "" if clip is self.source else f"{psnr(clip, self.source):.2f}"
            lines.append(f"  {name:24}{quality:>10}{warping_error(clip, self.source):>10.2f}")
        verdict = "reached" if self.lost <= MOST_LOST else "not reached"
        lines.append(f"\n  {self.lost:.2f} dB below the limit; at most {MOST_LOST:g} are wanted: {verdict}.")
        lines.append("  Flicker is the mean squared change along the source's motion, times 1000.")
        lines.append("  Tuning took {:.1f} s, inversion {:.1f} s, sampling {:.1f} s.".format(*self.seconds))
        return "\n".join(lines) + "\n"


def bring_back(pipe: TextToVideoPipeline, frames: np.ndarray, caption: str, tuning: TuningSettings, steps: int | None = None) -> Return:
    """Tunes on a clip uint8 (f, h, w, 3), inverts it and samples its caption.

    Args:
        steps: of inversion and sampling; None is the model's own.
    """
    steps, times = steps or default_steps(pipe), [time.perf_counter()]
    latents = encode_clip(pipe, frames)
    tuner = OneShotTuner(pipe, frames, caption, tuning)
    for _ in tuner:
        pass
    tuned = tuner.tuned()
    times.append(time.perf_counter())
    noise = invert(pipe, tuned, latents, steps)
    times.append(time.perf_counter())
    back = edit(pipe, tuned, caption, noise, guidance_scale=1.0, num_inference_steps=steps)
    times.append(time.perf_counter())
    seconds = tuple(float(took) for took in np.diff(times))
    return Return(frames, to_pixels(pipe.decode_latents(latents))[0], to_pixels(back), seconds)  # type: ignore[arg-type]  # three


def first_frames(pipe: TextToVideoPipeline, file: Path, caption: str) -> np.ndarray:
    """The beginning of a clip in the model's size, length and frame rate, the middle cut out: uint8 (f, h, w, 3).

    Raises:
        InvalidInput: for a file that cannot be read, or no caption.
    """
    own = pipe.defaults
    return ClipFolder.read([file], caption, width=own.width, height=own.height, frames=own.num_frames, fps=own.fps).pixels[0]


def write_sheet(made: Return, path: Path) -> None:
    """Source, limit and reconstruction under each other, PNG."""
    write_rows([Row(made.source, "source"), Row(made.limit, "autoencoder's limit"), Row(made.back, "reconstruction")], path)
