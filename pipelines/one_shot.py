"""One-shot tuning: one clip and its caption tune an image model; then the prompt is edited and the motion stays.

Wu et al., "Tune-A-Video", arXiv 2212.11565: sparse-causal attention; only the queries and the temporal attention are trained (section
3.2); edits start from the clip's own noise, found by DDIM inversion with the empty prompt on the tuned network (section 3.3).

    tuner = OneShotTuner(pipe, frames, "a red ball moving left", TuningSettings(steps=100))
    for step in tuner:                      # can be left at any step: what was learned is in tuner.tuned()
        print(step.index, step.loss)
    noise = invert(pipe, tuner.tuned(), encode_clip(pipe, frames))
    video = edit(pipe, tuner.tuned(), "a blue star moving left", noise)

The model itself is never changed: the tuned tensors are laid over it for the time of a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .composition import ComposedDenoiser, Path
from .errors import InvalidInput
from .inversion import blended_noise, default_refinements, default_steps, encode_clip, invert
from .noise import NoisePrior
from .text_to_video import TextToVideoPipeline
from .tuned_network import Tuned, TunedUNet, frozen, laid_over, standing_in, trainable_parameters

__all__ = [
    "OneShotTuner",
    "Tuned",
    "TunedUNet",
    "TuningSettings",
    "TuningStep",
    "blended_noise",
    "default_refinements",
    "default_settings",
    "default_steps",
    "edit",
    "encode_clip",
    "invert",
    "laid_over",
    "standing_in",
    "trainable_parameters",
]


@dataclass(frozen=True)
class TuningSettings:
    """How a clip is learned; the defaults of steps, learning rate and optimiser are the paper's (section 4, and its public code).

    Args:
        steps: one clip each.
        learning_rate: of AdamW, constant.
        noise_prior: of the training noise; the paper's is independent. A model trained with a correlated prior keeps that one.
        sparse_causal: self-attention looks at the first and the previous frame instead of at its own.
        everything: trains all parameters, not the paper's alone. What a small model has never seen, real footage for one, comes back
            better, and the model forgets more.
        rank: of low-rank updates (LoRA) instead of full matrices; None trains the matrices themselves.
        gradient_checkpointing: recomputes activations, for memory.
        most_weight: of one step's loss, where the network predicts x0. The paper's loss is of the noise, which weighs the error of x0 by
            the signal-to-noise ratio; the weight is that ratio, at least 1 and at most this. More brings a clip back in finer detail.
        seed: of timesteps and noise.
    """

    steps: int = 500
    learning_rate: float = 3e-5
    noise_prior: NoisePrior = field(default_factory=lambda: NoisePrior("independent"))
    sparse_causal: bool = True
    everything: bool = False
    rank: int | None = None
    gradient_checkpointing: bool = False
    most_weight: float = 1.0
    weight_decay: float = 1e-2
    gradient_clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("rank", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InvalidInput(f"{name} is {value}.", f"Give a whole number of {least} or more.")
        if not 0 < self.learning_rate < 1:
            raise InvalidInput(f"The learning rate is {self.learning_rate}.", "Give a number between 0 and 1, such as 3e-5.")
        if not self.most_weight >= 1:
            raise InvalidInput(f"The largest weight is {self.most_weight}.", "Give a number of 1 or more.")


@dataclass(frozen=True)
class TuningStep:
    """Step `index` of `total` is done, counted from 1; `loss` is of this step alone."""

    index: int
    total: int
    loss: float


def default_settings(pipe: TextToVideoPipeline) -> TuningSettings:
    """What suits a model: the paper's settings for one that predicts epsilon or v, as Stable Diffusion does.

    A network that predicts x0 is a small one here. It keeps the noise prior that it was trained with, and learns a clip in a few
    large steps.
    """
    if pipe.scheduler.config.prediction_type != "sample":
        return TuningSettings(gradient_checkpointing=pipe.device.type == "cuda")
    return TuningSettings(steps=30, learning_rate=1e-3, noise_prior=pipe.defaults.noise_prior)


class OneShotTuner:
    """Learns one clip, or several, a step at each turn of a `for`; leaving the loop keeps what was learned, and a new loop goes on.

    Args:
        pipe: its text encoder and autoencoder are used once, here; its network is lent for each step and given back unchanged.
        frames: uint8 (f, h, w, 3) of the model's size, or a list of such clips of equal length.
        caption: of the clip, or one a clip.
        settings: how; None is `default_settings`.
        fps: frames a second, for models that are told.

    Raises:
        InvalidInput: for a clip of one frame, clips of different shapes, or an empty caption.
    """

    def __init__(
        self,
        pipe: TextToVideoPipeline,
        frames: np.ndarray | list[np.ndarray],
        caption: str | list[str],
        settings: TuningSettings | None = None,
        fps: float | None = None,
    ) -> None:
        self.pipe, self.settings, self.done = pipe, settings or default_settings(pipe), 0
        clips = [frames] if isinstance(frames, np.ndarray) else list(frames)
        captions = [caption] * len(clips) if isinstance(caption, str) else list(caption)
        _check_clips(clips, captions)
        self.latents = torch.cat([encode_clip(pipe, clip) for clip in clips])
        with torch.no_grad():
            self.text = pipe._encode(captions, None, guided=False, device=self.latents.device)
        self.extra = {"fps": pipe.defaults.fps if fps is None else fps} if getattr(pipe.unet.config, "frame_rate", False) else {}
        learning = dict(pipe.unet.named_parameters()) if self.settings.everything else trainable_parameters(pipe.unet)
        self.base = {name: parameter.detach() for name, parameter in learning.items()}
        self.trained = _low_rank(self.base, self.settings) if self.settings.rank else _copies(self.base)
        self.optimizer = torch.optim.AdamW(
            list(self.trained.values()), lr=self.settings.learning_rate, betas=(0.9, 0.999), weight_decay=self.settings.weight_decay
        )

    def __iter__(self) -> Iterator[TuningStep]:
        unet = self.pipe.unet
        lent = self.settings.gradient_checkpointing and not unet.is_gradient_checkpointing
        if lent:
            unet.enable_gradient_checkpointing()
        try:
            while self.done < self.settings.steps:
                loss = self._step(self.done)
                self.done += 1
                yield TuningStep(self.done, self.settings.steps, loss)
        finally:
            if lent:
                unet.disable_gradient_checkpointing()

    def tuned(self) -> Tuned:
        """What has been learned so far, detached, as full matrices in float32 on the CPU."""
        tensors = {name: tensor.detach().float().cpu().clone() for name, tensor in self._effective().items()}
        return Tuned(tensors, self.settings.sparse_causal)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a tuner of the same clip and settings needs to go on."""
        trained = {name: tensor.detach() for name, tensor in self.trained.items()}
        return {"done": self.done, "trained": trained, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.done = state["done"]
        for name, tensor in self.trained.items():
            tensor.data.copy_(state["trained"][name])
        self.optimizer.load_state_dict(state["optimizer"])

    def _step(self, index: int) -> float:
        """One clip, one timestep, and the loss of the model's own prediction type."""
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + index)
        clip = index % len(self.latents)
        scheduler, clean = self.pipe.scheduler, self.latents[clip : clip + 1]
        t = torch.randint(0, scheduler.config.num_train_timesteps, (1,), generator=generator).to(clean.device)
        noise = self.settings.noise_prior.sample(tuple(clean.shape), generator, clean.device)
        noisy = scheduler.add_noise(clean, noise, t)
        text = {name: value[clip : clip + 1] for name, value in self.text.items()}
        with frozen(self.pipe.unet), laid_over(self.pipe.unet, self._effective(), self.settings.sparse_causal):
            with _autocast(clean.device):
                predicted = self.pipe.unet(noisy.to(self.pipe.unet.dtype), t, **text, **self.extra, return_dict=False)[0]
            loss = (predicted.float() - _target(scheduler, clean, noise, t)).square().mean()
            self.optimizer.zero_grad()
            (_weight(scheduler, t, self.settings.most_weight) * loss).backward()
        torch.nn.utils.clip_grad_norm_(list(self.trained.values()), self.settings.gradient_clip)
        self.optimizer.step()
        return float(loss.detach())

    def _effective(self) -> dict[str, torch.Tensor]:
        """The tensors that stand in the network, on the way to which gradients flow."""
        if not self.settings.rank:
            return dict(self.trained)
        pairs = {name: (self.trained[f"{name}.down"], self.trained[f"{name}.up"]) for name in self.base if f"{name}.down" in self.trained}
        low_rank = {name: self.base[name] + up @ down for name, (down, up) in pairs.items()}
        return low_rank | {name: tensor for name, tensor in self.trained.items() if name in self.base}


def _check_clips(clips: list[np.ndarray], captions: list[str]) -> None:
    if not clips or len({clip.shape for clip in clips}) != 1:
        shapes = ", ".join(str(clip.shape) for clip in clips) or "none"
        raise InvalidInput(f"The clips have the shapes {shapes}.", "Give one clip, or clips of one size and length.")
    if len(clips[0]) < 2:
        raise InvalidInput(f"The clip has {len(clips[0])} frame.", "Motion needs two frames or more.")
    if len(captions) != len(clips):
        raise InvalidInput(f"{len(captions)} captions were given for {len(clips)} clips.", "Give one, or one a clip.")
    if any(not caption.strip() for caption in captions):
        raise InvalidInput("The caption is empty.", "Say in a few words what the clip shows.")


def _copies(base: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Float32 copies that learn; the network itself may be in half precision."""
    return {name: tensor.float().clone().requires_grad_() for name, tensor in base.items()}


def _low_rank(base: Mapping[str, torch.Tensor], settings: TuningSettings) -> dict[str, torch.Tensor]:
    """For each matrix, `down` (rank, in) random and `up` (out, rank) zero, so that nothing changes at first; biases are copies."""
    assert settings.rank is not None
    generator, trained = torch.Generator().manual_seed(settings.seed), {}
    for name, tensor in base.items():
        if tensor.ndim != 2:
            trained[name] = tensor.float().clone().requires_grad_()
            continue
        down = torch.randn(settings.rank, tensor.shape[1], generator=generator) / settings.rank
        trained[f"{name}.down"] = down.to(tensor.device).requires_grad_()
        trained[f"{name}.up"] = torch.zeros(tensor.shape[0], settings.rank, device=tensor.device).requires_grad_()
    return trained


def _target(scheduler: Any, clean: torch.Tensor, noise: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """What the network should predict at this timestep."""
    match scheduler.config.prediction_type:
        case "epsilon":
            return noise
        case "v_prediction":
            return scheduler.get_velocity(clean, noise, t)
    return clean


def _weight(scheduler: Any, t: torch.Tensor, most: float) -> float:
    """The signal-to-noise ratio within [1, most] for a network that predicts x0, otherwise 1."""
    if scheduler.config.prediction_type != "sample":
        return 1.0
    kept = float(scheduler.alphas_cumprod[int(t)])
    return min(max(kept / max(1 - kept, 1e-9), 1.0), most)


def _autocast(device: torch.device) -> Any:
    """Trained tensors stay in float32 whatever the network's precision is."""
    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()


# ---------------------------------------------------------------------------------------------------------------------
# Editing


def edit(
    pipe: TextToVideoPipeline,
    tuned: Tuned,
    prompt: str,
    noise: torch.Tensor,
    base_strength: float = 0.0,
    **call: Any,
) -> np.ndarray:
    """A clip of the edited prompt from the given noise, by DDIM on the tuned network: float32 (f, h, w, 3) in [0, 1].

    Args:
        noise: of `invert` (1, c, f, h, w).
        base_strength: of the untuned network as a prior over the tuned one (Video Adapter, `ComposedDenoiser`): 0 is the tuned network
            alone, and the larger it is the further the edit goes from the source.
        call: further keyword arguments of the pipeline; the steps are those of `invert` unless told.
    """
    call = {"num_inference_steps": default_steps(pipe)} | call
    scale = pipe.defaults.guidance_scale if call.get("guidance_scale") is None else call["guidance_scale"]
    network: Any = TunedUNet(pipe.unet, tuned)
    if base_strength:
        network = ComposedDenoiser(pipe.unet, network, base_strength, adapter_path=Path.of(pipe.scheduler), guided=scale > 1)
    with standing_in(pipe, network):
        frames = pipe(prompt, latents=noise, num_frames=noise.shape[2], sampler="ddim", **call).frames
    return np.asarray(frames)[0]
