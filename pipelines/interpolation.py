"""Frames between, after and amid given frames, by one network that gets them clean beside the noise.

Singer et al., "Make-A-Video", arXiv 2209.14792, section 3.3: given frames enter as extra channels with a mask, the missing ones are
zero, and all frames are made jointly. The mask alone says what is asked: every k-th frame given is interpolation (16 -> 76 frames with
k = 5), the first few extrapolation, the first and the last a morph, the first alone animates a picture.

    smooth = interpolate(pipe, clip, factor=5)              # uint8 (16, 64, 64, 3) -> (76, 64, 64, 3)
    longer = extend(pipe, clip, 48, prompt="a red ball")    # -> (64, 64, 64, 3)

Frames that are given come out as they went in, pixel for pixel. A clip that is longer than the model's is made in windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from .detail import with_detail
from .errors import InvalidInput, UnsupportedFrames
from .flow import MOST_FRAMES, check_clip, count_between, flow_between
from .inversion import encode_clip
from .text_to_video import TextToVideoPipeline
from .tuned_network import standing_in

WINDOWS_AT_ONCE = 8
FROM_FLOW = 0.02  # share of the noise levels


class GivenFrames(nn.Module):
    """Stands where a pipeline's `unet` stood, and passes given frames on to it at every step.

    Args:
        unet: a `VideoUNet` with `condition_frames`.
        frames: clean latents (b, c, f, h, w) of the clips that the pipeline makes.
        mask: (b, f), 1 where a frame is given.
        strength: s >= 0 in e(nothing given) + s (e(given) - e(nothing given)), on each branch of the text's guidance: 0 does not look at
            the frames, 1 believes them as it was trained to, more exaggerates them. Other values than 0 and 1 cost twice as much.

    Raises:
        InvalidInput: a network that takes no frames, a strength that makes no sense, or a mask of another shape.
    """

    def __init__(self, unet: nn.Module, frames: torch.Tensor, mask: torch.Tensor, strength: float = 1.0) -> None:
        super().__init__()
        if not getattr(unet.config, "condition_frames", False):
            raise InvalidInput("This model was built without frame conditioning.", "Choose a model that takes given frames.")
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength < float("inf"):
            raise InvalidInput(f"The strength of the given frames is {strength!r}.", "Give a number of 0 or more; 1 is as trained.")
        if frames.ndim != 5 or mask.shape != (frames.shape[0], frames.shape[2]):
            shapes = f"{tuple(frames.shape)} and their mask {tuple(mask.shape)}"
            raise InvalidInput(f"The given frames are {shapes}.", "Give (batch, channels, frames, height, width) and (batch, frames).")
        self.unet, self.frames, self.mask, self.strength = unet, frames, mask, float(strength)

    @property
    def config(self) -> Any:
        return self.unet.config

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        return self.unet.device  # type: ignore[return-value]

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, *args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        """The call of the network; every branch of the batch gets the frames."""
        branches = len(sample) // len(self.frames)
        kwargs["return_dict"] = False
        given = {"given_frames": self.frames.repeat(branches, 1, 1, 1, 1), "given_mask": self.mask.repeat(branches, 1)}
        if self.strength == 0:
            return self.unet(sample, timestep, *args, **kwargs)
        believed = self.unet(sample, timestep, *args, **kwargs, **given)[0]
        if self.strength == 1:
            return (believed,)
        ignored = self.unet(sample, timestep, *args, **kwargs)[0].float()
        return ((ignored + self.strength * (believed.float() - ignored)).to(believed.dtype),)


def fill(
    pipe: TextToVideoPipeline,
    frames: torch.Tensor,
    mask: torch.Tensor,
    prompt: str = "",
    strength: float = 1.0,
    keep: bool = True,
    **call: Any,
) -> torch.Tensor:
    """Latents (b, c, f, h, w) whose missing frames are made, all jointly.

    Args:
        frames: clean latents (b, c, f, h, w), read only where the mask is 1.
        mask: (b, f), 1 where a frame is given.
        prompt: of all clips; without one nothing is guided.
        strength: of the given frames, see `GivenFrames`.
        keep: whether given frames come out as they went in. Below a strength of 1 they never do: they are a hint, and a clip that
            follows it half would jump after its first frame.
        call: further keyword arguments of the pipeline.
    """
    frames, mask = (value.to(pipe._execution_device, torch.float32) for value in (frames, mask))
    scale = pipe.vae_scale_factor
    size = {"height": frames.shape[3] * scale, "width": frames.shape[4] * scale, "num_frames": frames.shape[2]}
    call = ({} if prompt.strip() else {"guidance_scale": 1.0}) | call
    with standing_in(pipe, GivenFrames(pipe.unet, frames, mask, strength)):
        made = pipe([prompt] * len(frames), **size, **call, output_type="latent").frames
    if not keep or strength < 1:
        return made
    return torch.where(mask[:, None, :, None, None] > 0, frames, made)


def interpolate(
    pipe: TextToVideoPipeline,
    frames: np.ndarray,
    factor: int = 2,
    fps: float | None = None,
    prompt: str = "",
    start_strength: float = FROM_FLOW,
    **call: Any,
) -> np.ndarray:
    """Makes `factor` times as many frames a second: uint8 ((f - 1) factor + 1, h, w, 3).

    Windows overlap in a given frame. Interrupted (`pipe._interrupt`), it returns the part up to where it came.

    The network starts from frames along the optical flow, under so much noise that what is wrong with them is open again. With a
    `start_strength` of 1 it starts from noise alone, as in the paper. What it loses of the given frames is carried over (`detail`).

    Args:
        frames: uint8 (f, h, w, 3) of a size that the model makes.
        factor: 2 or more, less than the frames of the model's longest clip.
        fps: of the given frames; None is the model's own.
        prompt: what is shown; none is needed.
        start_strength: share of the noise levels, the lowest, that the network goes through; one step at least.
        call: further keyword arguments of `fill`.

    Raises:
        InvalidInput: before anything is computed.
    """
    check_frames(pipe, frames)
    total, longest = count_between(len(frames), factor), pipe.defaults.max_frames
    if factor >= longest:
        raise InvalidInput(f"The factor is {factor}.", f"With this model, give 2 to {longest - 1}; larger ones in several rounds.")
    keys = min(len(frames), (longest - 1) // factor + 1)
    starts = window_starts(len(frames), keys)
    mask = torch.zeros(1, (keys - 1) * factor + 1)
    mask[:, ::factor] = 1
    rate = (pipe.defaults.fps if fps is None else fps) * factor
    steps = call.get("num_inference_steps") or pipe.defaults.num_inference_steps
    filled, done = np.empty((total, *frames.shape[1:]), np.uint8), 0
    for group in (starts[i : i + WINDOWS_AT_ONCE] for i in range(0, len(starts), WINDOWS_AT_ONCE)):
        shown = [frames[start : start + keys] for start in group]
        given = torch.cat([spread(encode_clip(pipe, each), factor) for each in shown])
        if start_strength < 1:
            rough = torch.cat([encode_clip(pipe, flow_between(each, factor)) for each in shown])
            call |= {"start": rough, "start_strength": start_strength, "num_inference_steps": max(steps, round(1 / start_strength))}
        windows = to_pixels(pipe, fill(pipe, given, mask.expand(len(group), -1), prompt, keep=False, fps=rate, **call))
        for start, window, keyframes in zip(group, windows, shown, strict=True):
            whole = with_detail(window, keyframes, range(0, len(window), factor))
            filled[start * factor : start * factor + len(window)] = whole
            done = start * factor + len(window)
        if pipe.interrupt:
            break
    return filled[:done]


def extend(
    pipe: TextToVideoPipeline,
    frames: np.ndarray,
    more: int,
    overlap: int | None = None,
    prompt: str = "",
    **call: Any,
) -> np.ndarray:
    """Continues a clip by `more` frames: uint8 (f + more, h, w, 3).

    The last `overlap` frames are given to the next window, so that motion goes on and not only the picture, until there is enough.
    Interrupted (`pipe._interrupt`), it returns what there is so far.

    Args:
        frames: uint8 (f, h, w, 3) of a size that the model makes.
        more: frames to add.
        overlap: frames that a window shares with the clip before it; None is half of the model's longest clip.
        prompt: what is shown and how it moves.
        call: further keyword arguments of `fill`.

    Raises:
        InvalidInput: before anything is computed.
    """
    check_frames(pipe, frames)
    longest = pipe.defaults.max_frames
    overlap = max(1, longest // 2) if overlap is None else overlap
    if isinstance(more, bool) or not isinstance(more, int) or more < 1 or len(frames) + more > MOST_FRAMES:
        raise InvalidInput(f"{more!r} more frames were asked for.", f"Give 1 or more, so that the clip has at most {MOST_FRAMES:,}.")
    if isinstance(overlap, bool) or not isinstance(overlap, int) or not 1 <= overlap < longest:
        raise InvalidInput(f"The overlap is {overlap!r} frames.", f"Give 1 to {longest - 1}, for this model.")
    clip, wanted = frames, len(frames) + more
    while len(clip) < wanted:
        known = clip[-overlap:]
        new = min(longest - len(known), wanted - len(clip))
        clip = np.concatenate([clip, _continued(pipe, known, new, prompt, call)])
        if pipe.interrupt:
            break
    return clip


def morph(
    pipe: TextToVideoPipeline, first: np.ndarray, last: np.ndarray, frames: int | None = None, prompt: str = "", **call: Any
) -> np.ndarray:
    """From one picture to another: uint8 (frames, h, w, 3), of which the first and the last are the pictures.

    Args:
        first, last: uint8 (h, w, 3) of one size, one that the model makes.
        frames: of the clip; None is the model's own number.
        prompt: what is shown and how it moves.
        call: further keyword arguments of `fill`.

    Raises:
        InvalidInput, UnsupportedFrames: before anything is computed.
    """
    if first.shape != last.shape:
        (h, w), (h2, w2) = first.shape[:2], last.shape[:2]
        raise InvalidInput(f"The pictures have {w} x {h} and {w2} x {h2} pixels.", "Crop them to one size.")
    pictures = np.stack([first, last])
    check_frames(pipe, pictures)
    count = pipe.defaults.num_frames if frames is None else frames
    if isinstance(count, bool) or not isinstance(count, int) or not 3 <= count <= pipe.defaults.max_frames:
        raise UnsupportedFrames(
            f"{count!r} frames were asked for.", f"Between two pictures this model makes 3 to {pipe.defaults.max_frames}."
        )
    given, mask = spread(encode_clip(pipe, pictures), count - 1), torch.zeros(1, count)
    mask[:, [0, -1]] = 1
    clip = to_pixels(pipe, fill(pipe, given, mask, prompt, keep=False, **call))[0]
    return with_detail(clip, pictures, [0, count - 1])


def check_frames(pipe: TextToVideoPipeline, frames: np.ndarray) -> None:
    """Raises InvalidInput for anything but uint8 (f, h, w, 3) of a size that the model makes."""
    check_clip(frames)
    unit = pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1)
    h, w = frames.shape[1:3]
    if h % unit or w % unit:
        raise InvalidInput(f"The frames have {w} x {h} pixels.", f"Crop them to multiples of {unit}.")


def window_starts(count: int, size: int) -> list[int]:
    """First frames of windows that cover `count` frames, neighbours sharing one frame or more; the last window ends with the clip."""
    return [*range(0, count - size, max(1, size - 1)), count - size]


def to_pixels(pipe: TextToVideoPipeline, latents: torch.Tensor) -> np.ndarray:
    """Latents (b, c, f, h, w) -> uint8 (b, f, H, W, 3)."""
    return np.round(pipe.decode_latents(latents) * 255).astype(np.uint8)


def spread(latents: torch.Tensor, factor: int) -> torch.Tensor:
    """(1, c, k, h, w) at every `factor`-th place of (1, c, (k - 1) factor + 1, h, w), zero between."""
    b, c, k, h, w = latents.shape
    spread = latents.new_zeros(b, c, (k - 1) * factor + 1, h, w)
    spread[:, :, ::factor] = latents
    return spread


def _continued(pipe: TextToVideoPipeline, known: np.ndarray, new: int, prompt: str, call: dict[str, Any]) -> np.ndarray:
    """The frames that follow the known ones, uint8 (new, h, w, 3)."""
    latents = encode_clip(pipe, known)
    given = torch.cat([latents, latents.new_zeros(*latents.shape[:2], new, *latents.shape[3:])], dim=2)
    mask = torch.zeros(1, len(known) + new)
    mask[:, : len(known)] = 1
    return to_pixels(pipe, fill(pipe, given, mask, prompt, **call))[0, len(known) :]
