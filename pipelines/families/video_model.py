"""One call for all families: a pipeline of diffusers, unmodified, under the arguments of `TextToVideoPipeline`.

    model = load_model("models/Wan2.1-T2V-1.3B-Diffusers", "cuda")
    frames = model("a red ball rolling", num_frames=33, generator=torch.Generator().manual_seed(0)).frames   # (1, 33, 480, 832, 3)

Progress, previews and stopping come from the one thing that all these pipelines do: they call their scheduler once a step.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MethodType
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from ..defaults import GenerationDefaults
from ..errors import InvalidInput
from ..noise import NoisePrior
from ..paths import Path
from ..samplers import build_sampler, check_steps, sampler_info
from ..text_to_video import Generators, TextToVideoOutput
from .family import Capabilities, DiffusersFamily, Order

StepCallback = Callable[["VideoModel", int, int, dict[str, torch.Tensor]], Mapping[str, torch.Tensor] | None]


class _StoppedError(Exception):
    """Leaves a pipeline in the middle of its steps; never leaves `VideoModel`."""


class VideoModel:
    """A model of a family, loaded.

    Args:
        pipe: the pipeline of diffusers.
        family: of the model.
        defaults: what a call does where it is not told.
        capabilities: what it can do.
    """

    def __init__(self, pipe: Any, family: DiffusersFamily, defaults: GenerationDefaults, capabilities: Capabilities) -> None:
        self.pipe, self.family = pipe, family
        self.defaults, self.capabilities = defaults, capabilities
        self._interrupt = False

    @property
    def components(self) -> dict[str, Any]:
        """The parts by name, to be shared with another pipeline."""
        return self.pipe.components

    @property
    def denoiser(self) -> Any:
        """The network that a composition takes the place of."""
        return getattr(self.pipe, self.family.places[0])

    @property
    def vae(self) -> Any:
        return self.pipe.vae

    @property
    def scheduler(self) -> Any:
        return self.pipe.scheduler

    @property
    def device(self) -> torch.device:
        return self.pipe._execution_device

    @property
    def interrupt(self) -> bool:
        """True once the running call has been asked to stop; set `model._interrupt = True` to ask."""
        return self._interrupt

    def to(self, device: str | torch.device) -> VideoModel:
        self.pipe.to(device)
        return self

    def set_progress_bar_config(self, **options: Any) -> None:
        self.pipe.set_progress_bar_config(**options)

    @contextmanager
    def replaced(self, denoiser: Any) -> Iterator[None]:
        """Another network, a `ComposedDenoiser` for one, in the denoiser's place until the end of the `with`.

        Raises:
            InvalidInput: where the family's denoiser cannot be composed.
        """
        self.capabilities.need("composition")
        own = self.denoiser
        setattr(self.pipe, self.family.places[0], denoiser)
        try:
            yield
        finally:
            setattr(self.pipe, self.family.places[0], own)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        fps: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        sampler: str | None = None,
        noise_prior: NoisePrior | None = None,
        image: Image.Image | None = None,
        generator: Generators = None,
        output_type: str = "np",
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: tuple[str, ...] | list[str] = ("latents",),
    ) -> TextToVideoOutput:
        """Makes videos; None means the model's own default.

        Args:
            prompt: one, or one a video.
            negative_prompt: what guidance moves away from, of all videos.
            height: pixels.
            width: pixels.
            num_frames: frames of each video.
            fps: frames a second that the motion is meant for.
            num_inference_steps: denoising steps.
            guidance_scale: 1 is none.
            sampler: a name in `SAMPLERS`, where the model can be sampled in more than one way.
            noise_prior: of the initial noise; None is independent noise, drawn by the pipeline itself.
            image: to start from, for models that take one.
            generator: one for all, or one a video.
            output_type: "np" or "latent".
            callback_on_step_end: called as (model, step, timestep, tensors); may return replacements of `latents`, and may set
                `model._interrupt`.
            callback_on_step_end_tensor_inputs: among "latents" and "denoised", the present guess of the clean latents.

        Returns:
            `frames`: float32 (b, f, h, w, 3) in [0, 1], or latents (b, c, f, h, w). After an interruption, the guess at that step.

        Raises:
            InvalidInput, UnsupportedFrames: before anything is computed.
        """
        order = self._order(prompt, negative_prompt, image, width, height, num_frames, fps, num_inference_steps, guidance_scale, generator)
        if output_type not in ("np", "latent"):
            raise InvalidInput(f"The output type is {output_type!r}.", "Choose np or latent.")
        pipe = self.family.pipeline_for(self.pipe, order)
        order = self.family.fitted(pipe, order)
        inputs = self.family.inputs(pipe, order) | self._noise(pipe, order, noise_prior)
        steps = _Steps(self, order, callback_on_step_end, callback_on_step_end_tensor_inputs)
        self._interrupt = False
        try:
            with self._sampled_by(pipe, sampler, order, "latents" in inputs), steps.watch(pipe):
                frames = pipe(**inputs, output_type=output_type).frames
        except _StoppedError:
            pipe.maybe_free_model_hooks()
            frames = self.decode_latents(steps.denoised) if output_type == "np" else steps.denoised
            return TextToVideoOutput(frames=frames)
        return TextToVideoOutput(frames=self.family.to_latents(pipe, frames, order) if output_type == "latent" else frames)

    @torch.no_grad()
    def decode_latents(self, latents: torch.Tensor) -> np.ndarray:
        """Latents (b, c, f, h, w) -> float32 (b, f, H, W, 3) in [0, 1]."""
        pixels = self.family.decode(self.pipe, latents.to(self.device)).float()
        return ((pixels.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 4, 1).cpu().numpy()

    def preview(self, latents: torch.Tensor) -> np.ndarray:
        """A few frames of these latents, decoded at a small part of the cost of all: float32 (b, f, H, W, 3) in [0, 1]."""
        return self.decode_latents(self.family.preview(latents))

    # -----------------------------------------------------------------------------------------------------------------

    def _order(
        self,
        prompt: str | list[str],
        negative: str | None,
        image: Image.Image | None,
        width: int | None,
        height: int | None,
        frames: int | None,
        fps: float | None,
        steps: int | None,
        guidance_scale: float | None,
        generator: Generators,
    ) -> Order:
        """The call with the model's defaults filled in, checked."""
        own, can = self.defaults, self.capabilities
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        order = Order(
            prompts=prompts,
            negatives=[negative] * len(prompts) if negative else None,
            picture=image,
            width=own.width if width is None else width,
            height=own.height if height is None else height,
            frames=own.num_frames if frames is None else frames,
            fps=own.fps if fps is None else fps,
            steps=own.num_inference_steps if steps is None else steps,
            guidance_scale=own.guidance_scale if guidance_scale is None else guidance_scale,
            generator=generator,
        )
        if not prompts or not all(isinstance(text, str) for text in prompts):
            raise InvalidInput(f"The prompt is {prompt!r}.", "Give a text, or a list of texts.")
        if negative:
            can.need("negative_prompt")
        can.frames.check(order.frames)
        check_picture(can, image)
        can.check_size(order.width, order.height)
        if image is not None and can.can("size"):
            order = replace(order, picture=ImageOps.fit(image.convert("RGB"), (order.width, order.height), Image.Resampling.LANCZOS))
        if isinstance(order.steps, bool) or not isinstance(order.steps, int) or order.steps < 1:
            raise InvalidInput(f"{order.steps!r} steps were asked for.", "Give a whole number of 1 or more.")
        return order

    def _noise(self, pipe: Any, order: Order, prior: NoisePrior | None) -> dict[str, torch.Tensor]:
        """The initial noise as an argument; nothing where it is independent, which the pipeline draws itself."""
        if prior is None or prior.kind == "independent" or not prior.alpha:
            return {}
        self.capabilities.need("noise_prior")
        if order.picture is not None and self.family.own_noise:
            raise InvalidInput(f"The noise prior is {prior.kind!r}.", self.family.own_noise)
        latents = prior.sample(self.family.latent_shape(pipe, order), order.generator, pipe._execution_device)
        return {"latents": self.family.initial(pipe, latents.to(self._latent_dtype(pipe)))}

    def _latent_dtype(self, pipe: Any) -> torch.dtype:
        """UNets are called in the latents' own precision; transformers' pipelines convert."""
        return self.denoiser.dtype if self.family.places[0] == "unet" else torch.float32

    @contextmanager
    def _sampled_by(self, pipe: Any, sampler: str | None, order: Order, correlated: bool) -> Iterator[None]:
        """The named sampler in the place of the model's own; `correlated` is whether a noise prior drew the initial noise."""
        if sampler is None:
            yield
            return
        self.capabilities.need("sampler")
        check_steps(sampler, order.steps)
        if sampler_info(sampler).stochastic and (correlated or not sampler_info(sampler).renoises):
            raise InvalidInput(f"The sampler {sampler!r} injects noise.", "Choose a deterministic one for this model.")
        own = pipe.scheduler
        pipe.scheduler = build_sampler(sampler, own)
        try:
            yield
        finally:
            pipe.scheduler = own


class _Steps:
    """Watches a pipeline's scheduler: what it is given is the prediction, what it gives are the next latents."""

    def __init__(self, model: VideoModel, order: Order, callback: StepCallback | None, names: tuple[str, ...] | list[str]) -> None:
        self.model, self.order, self.callback, self.names = model, order, callback, names
        self.count = 0
        self.denoised: torch.Tensor | Any = None

    @contextmanager
    def watch(self, pipe: Any) -> Iterator[None]:
        """Each step of the pipeline's scheduler is told to the callback, until the end of the `with`."""
        if self.callback is None:
            yield
            return
        scheduler = pipe.scheduler
        scheduler.step = _Watched(scheduler, functools.partial(self._told, pipe))
        try:
            yield
        finally:
            del scheduler.step

    def _told(self, pipe: Any, predicted: torch.Tensor, timestep: Any, sample: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        assert self.callback is not None
        family, index = self.model.family, self.count
        clean = denoised(pipe.scheduler, predicted, timestep, sample, index)
        self.denoised = family.to_latents(pipe, clean, self.order)
        latents = family.to_latents(pipe, following, self.order)
        tensors = {"latents": latents, "denoised": self.denoised}
        changed = self.callback(self.model, index, int(timestep), {name: tensors[name] for name in self.names}) or {}
        self.count += 1
        if self.model._interrupt:
            raise _StoppedError
        return family.to_pipeline(pipe, changed["latents"]).to(following) if "latents" in changed else following


class _Watched:
    """A scheduler's `step` that tells of every call and hands on what it is told instead. Its signature stays visible."""

    def __init__(self, scheduler: Any, tell: Callable[..., torch.Tensor]) -> None:
        self.scheduler, self.tell = scheduler, tell
        self.own = MethodType(type(scheduler).step, scheduler)
        self.names = tuple(inspect.signature(self.own).parameters)
        functools.update_wrapper(self, self.own)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(self.names, args, strict=False)) | kwargs
        answer = self.own(*args, **kwargs)
        following = answer[0] if isinstance(answer, tuple) else answer.prev_sample
        new = self.tell(given["model_output"], given["timestep"], given["sample"], following)
        if new is following:
            return answer
        return (new, *answer[1:]) if isinstance(answer, tuple) else type(answer)(**{**answer, "prev_sample": new})

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copied scheduler steps unwatched: some pipelines copy theirs for the sound."""
        copied = memo[id(self.scheduler)]
        return MethodType(type(copied).step, copied)


def denoised(scheduler: Any, predicted: torch.Tensor, timestep: Any, sample: torch.Tensor, index: int) -> torch.Tensor:
    """The clean latents that a prediction stands for, float32: x0 on the path of the scheduler (`paths.Path`).

    Args:
        scheduler: of the pipeline.
        predicted: what the network said, guided.
        timestep: of the step.
        sample: the noisy latents at that step.
        index: of the step; schedulers that keep samples as x0 + sigma e (Euler) need it.
    """
    sample, predicted = sample.float(), predicted.float()
    if getattr(scheduler.config, "prediction_type", None) and hasattr(scheduler, "is_scale_input_called"):
        angle = torch.atan(scheduler.sigmas[index].double().cpu())
        path = Path(scheduler.config.prediction_type, alphas_cumprod=(1.0,))  # any variance-preserving one: the angle says the rest
        return path.decode(predicted, sample * float(angle.cos()), angle)[0]
    path = Path.of(scheduler)
    return path.decode(predicted, sample, path.angle(timestep))[0]


def check_picture(can: Capabilities, image: Any) -> None:
    """Raises InvalidInput where a picture is missing, unwanted, or none."""
    if image is None and can.picture == "needed":
        raise InvalidInput("This model starts from a picture, and none was given.", "Give a picture.")
    if image is not None and can.picture == "none":
        raise InvalidInput("This model takes no picture.", "Leave the picture out, or choose an image-to-video model.")
    if image is not None and not isinstance(image, Image.Image):
        raise InvalidInput(f"The picture is a {type(image).__name__}.", "Give an image of Pillow.")
