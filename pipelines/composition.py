"""A frozen prior and a small adapter as one denoiser, without training either for the other.

Yang et al., "Probabilistic Adaptation of Text-to-Video Models" (Video Adapter), arXiv 2306.01872: samples follow the product
p_adapter(x | text) p_prior(x | text)^gamma. The scores of the two are added on the conditional branch, and the unconditional branch is
the adapter's alone:

    e_text = e_adapter(x | text) + gamma e_prior(x | text)        e = e_adapter(x) + w (e_text - e_adapter(x))

The prior is never asked without text and never guided. The last formula is what every diffusers pipeline computes of its network's two
branches: a `ComposedDenoiser` in the place of `pipe.unet` or `pipe.transformer` makes an unmodified pipeline sample the composition,
and its guidance scale w the inverse temperature.

    pipe.unet = ComposedDenoiser(prior=pipe.unet, adapter=small_unet, prior_strength=0.5)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from .batches import as_network_takes, common_part, one_each, rows_of
from .errors import IncompatibleModels, InvalidInput
from .langevin import ALONE, Corrector
from .latent_space import LatentSpace, check_same_space
from .paths import SMALLEST, Pair, Path, along, consistent
from .strengths import SCHEDULES, Strengths, checked, each, strength_schedule

__all__ = ["SCHEDULES", "ComposedDenoiser", "LatentSpace", "Path", "check_same_space", "strength_schedule"]

Mode = Literal["normalised", "paper"]
COMPOSED = ("cond", "pred_cond")  # what pipelines and guiders of diffusers call the branch that has the text
HALVES = ("cond_uncond", None)


def normalised_sum(adapter: torch.Tensor, prior: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """(adapter + gamma prior) / (1 + gamma), in float32. The weights sum to one, so that it may be taken of predictions of any kind.

    Where both densities agree, so does the composition; it samples the product's (1 + gamma)-th root.
    """
    return torch.lerp(adapter.float(), prior.float(), 1 / (1 + 1 / strength))  # so written, no finite strength overflows


def paper_sum(adapter: Pair, prior: Pair, strength: torch.Tensor, ratio: torch.Tensor, clamp: float | None) -> Pair:
    """The pair (x0, e) of e_adapter + gamma e_prior, as the paper adds scores, with x0 kept within bounds.

    The weights sum to more than one: unbounded, x0 is off by gamma s / a times the noise, and that is most of it at the first step.

    Args:
        adapter, prior: their pairs (x0, e) for one noisy sample a x0 + s e.
        ratio: s / a.
        clamp: largest |x0|; None is the largest that either model has in mind for the clip, infinity is no bound.
    """
    noise = adapter[1] + strength * prior[1]
    clean = adapter[0] - strength * ratio * prior[1]
    axes = tuple(range(1, clean.ndim))
    widest = torch.maximum(*(clean.abs().amax(dim=axes, keepdim=True) for clean, _ in (adapter, prior)))
    bound = widest if clamp is None else torch.full_like(widest, clamp)
    clamped = clean.clamp(-bound, bound)
    return clamped, noise + (clean - clamped) / ratio.clamp(min=SMALLEST)


@dataclass(frozen=True)
class Call:
    """One call of the network by its pipeline.

    Args:
        inputs: all arguments by name.
        sample: the name of the noisy sample among them.
        rows: those of the batch that have the text; the others are unconditional.
    """

    inputs: dict[str, Any]
    sample: str
    rows: range

    @property
    def batch(self) -> int:
        return len(self.inputs[self.sample])


class ComposedDenoiser(nn.Module):
    """Stands where a pipeline's `unet` or `transformer` stood; configuration and everything else it is asked for are the adapter's.

    Args:
        prior: the frozen network; asked once a step, with text, for the clips whose strength is not zero.
        adapter: the small network, or any network of the same latent space.
        prior_strength: gamma >= 0, or a function of the share of noise (`strengths.noise_share`), for all clips; or one a clip of the
            conditional batch. Zero is the adapter alone, bit for bit.
        mode: "normalised" is the weighted mean; "paper" the sum, whose strengths are best small.
        adapter_path: what the adapter predicts, on which path: that of the pipeline's scheduler. Only "paper", strengths that are
            functions, and a prior on another path need it.
        prior_path: the same of the prior; None is the adapter's.
        prior_inputs: arguments of the prior that differ from the pipeline's, its own text embedding for one; tensors have one row for
            all conditional clips, or one each.
        guided: whether a pipeline that calls once a step passes unconditional and conditional halves, as they do under guidance.
        clamp: in "paper", the largest |x0|; None is the largest that either model has in mind, infinity none.

    Raises:
        InvalidInput: a strength, mode or clamp that makes no sense, or a missing path.
        IncompatibleModels: networks whose configurations name different numbers of channels.
    """

    def __init__(
        self,
        prior: nn.Module,
        adapter: nn.Module,
        prior_strength: Strengths,
        mode: Mode = "normalised",
        *,
        adapter_path: Path | None = None,
        prior_path: Path | None = None,
        prior_inputs: Mapping[str, Any] | None = None,
        guided: bool = True,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.prior, self.adapter = prior, adapter
        self.strengths = each(prior_strength)
        self.mode = mode
        self.adapter_path, self.prior_path = adapter_path, prior_path or adapter_path
        self.prior_inputs = dict(prior_inputs or {})
        self.guided, self.clamp = guided, clamp
        self.calls: dict[str | None, dict[str, Any]] = {}  # the arguments of each branch at the last step
        self._branch: str | None = None
        self._names = [name for name in inspect.signature(adapter.forward).parameters if name != "self"]
        self._prior_names = _names_of(prior)
        self._check()

    @classmethod
    def of_pipelines(
        cls, prior: Any, adapter: Any, prior_strength: Strengths, mode: Mode = "normalised", **options: Any
    ) -> ComposedDenoiser:
        """The denoisers of two pipelines, to stand in the adapter's: their latent spaces are compared, their paths known.

        Raises:
            IncompatibleModels: when their latents do not mean the same.
        """
        check_same_space(LatentSpace.of(prior.vae), LatentSpace.of(adapter.vae))
        big, small = (pipe.unet if "unet" in pipe.components else pipe.transformer for pipe in (prior, adapter))
        mine, theirs = Path.of(adapter.scheduler), Path.of(prior.scheduler)
        return cls(big, small, prior_strength, mode, adapter_path=mine, prior_path=theirs, **options)

    @classmethod
    def of_lora(cls, network: nn.Module, prior_strength: Strengths, mode: Mode = "normalised", **options: Any) -> ComposedDenoiser:
        """A LoRA as the adapter: the resident network is the adapter with its LoRA on and the prior with it off; no copy is made.

        Args:
            network: with at least one LoRA loaded (`load_lora_weights` or `add_adapter`) and not fused.
            options: as of the class.

        Raises:
            IncompatibleModels: when there is no LoRA that could be switched off.
        """
        from .lora import WithoutLora

        return cls(WithoutLora(network), network, prior_strength, mode, **options)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The adapter's call and answer; on the conditional rows the prediction is the composition."""
        inputs = dict(zip(self._names, args, strict=False)) | kwargs
        self._remember(inputs)
        return self._answer(inputs)

    @contextmanager
    def cache_context(self, name: str, **place: Any) -> Iterator[None]:
        """diffusers' context around a call: by its name ("cond", "uncond") the branches are told apart."""
        before, self._branch = self._branch, name
        try:
            with _context(self.adapter, name, **place):
                yield
        finally:
            self._branch = before

    def corrector(
        self,
        steps: int,
        step_size: float = 0.1,
        *,
        guidance_scale: float,
        noise: Callable[..., torch.Tensor] | None = None,
        generator: Any = None,
    ) -> Corrector:
        """A `callback_on_step_end` that brings each step's latents closer to the composed distribution of their level.

        See `langevin.Corrector` for the arguments.
        """
        return Corrector(self, steps, step_size, guidance_scale, noise, generator)

    @torch.no_grad()
    def ask_again(self, branch: str | None, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The prediction for other latents and another timestep, all other arguments being those of the branch's last call; float32.

        Args:
            branch: a key of `calls`.
            latents: of the clips that the pipeline makes; both halves get them.

        Raises:
            InvalidInput: when the pipeline's timesteps differ within a clip, so that one cannot stand for all.
        """
        inputs = dict(self.calls[branch])
        sample, times = inputs[self._names[0]].clone(), torch.as_tensor(inputs["timestep"])
        if times.ndim > 1:
            raise InvalidInput(f"The timesteps have the shape {tuple(times.shape)}.", "Langevin steps need one a clip.")
        several = torch.cat([latents] * (len(sample) // len(latents)))
        common_part(sample, several).copy_(several)
        inputs |= {self._names[0]: sample, "timestep": torch.as_tensor(timestep).to(times).expand(times.shape)}
        with self.cache_context(branch) if branch else nullcontext():
            return _tensor(self._answer(inputs)).float()

    @property
    def config(self) -> Any:
        return self.adapter.config

    @property
    def dtype(self) -> torch.dtype:
        return self.adapter.dtype

    @property
    def device(self) -> torch.device:
        return self.adapter.device

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("adapter"), name)

    # -----------------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.mode not in get_args(Mode):
            raise InvalidInput(f"There is no mode of composition {self.mode!r}.", f"Choose one of {', '.join(get_args(Mode))}.")
        if self.clamp is not None and not self.clamp > 0:
            raise InvalidInput(f"The clamp is {self.clamp!r}.", "Give a number above 0, or infinity for none.")
        needed = self.mode == "paper" or self.prior_path is not None or any(callable(one) for one in self.strengths)
        if needed and self.adapter_path is None:
            raise InvalidInput(
                "The mode 'paper', a strength that depends on the noise, and a prior on a path of its own need to know the adapter's path.",
                "Pass adapter_path=Path.of(pipe.scheduler).",
            )
        if "timestep" not in self._names:
            raise IncompatibleModels(
                f"{type(self.adapter).__name__} does not name the arguments of its call: {', '.join(self._names)}.",
                "Compose a network whose forward names the sample first, and a timestep.",
            )
        channels = [getattr(getattr(network, "config", None), "in_channels", None) for network in (self.prior, self.adapter)]
        if None not in channels and channels[0] != channels[1]:
            raise IncompatibleModels(
                f"The prior takes {channels[0]} channels and the adapter {channels[1]}.", "Compose two models that share one autoencoder."
            )

    def _answer(self, inputs: dict[str, Any]) -> Any:
        """The adapter's answer to these arguments, with the composition on the rows that ask for the prior."""
        call = Call(inputs, self._names[0], self._conditional_rows(inputs[self._names[0]]))
        strength = self._strength_each(call)
        answer = self.adapter(**inputs)
        asked = [row for row, gamma in zip(call.rows, strength, strict=True) if gamma > 0]
        if not asked:
            return answer
        predicted = _tensor(answer)
        gammas = torch.tensor([gamma for gamma in strength if gamma > 0], device=predicted.device)
        result = predicted.clone()
        result[asked] = self._compose(call, asked, predicted[asked], gammas).to(predicted.dtype)
        return (result,) if isinstance(answer, tuple) else type(answer)(sample=result)

    def _remember(self, inputs: dict[str, Any]) -> None:
        """Keeps the arguments of the present step's branches, and of no earlier step."""
        if self._branch in self.calls or not {self._branch, *self.calls}.isdisjoint(HALVES):
            self.calls.clear()
        self.calls[self._branch] = inputs

    def _conditional_rows(self, sample: torch.Tensor) -> range:
        """The rows of the batch that have the text."""
        batch = len(sample)
        if self._branch in COMPOSED or (self._branch in HALVES and not self.guided):
            return range(batch)
        if self._branch in ALONE:
            return range(0)
        if self._branch not in HALVES:
            raise IncompatibleModels(
                f"The pipeline asks its network for a branch {self._branch!r}, which a composition does not have.",
                "Use plain classifier-free guidance.",
            )
        half = batch // 2
        if batch % 2 or not (torch.equal(sample[:half], sample[half:]) or sample.isnan().any()):
            raise IncompatibleModels(
                f"A batch of {batch} does not hold the same clips twice, without and with text: the branches cannot be told apart.",
                "Without guidance pass guided=False. A pipeline that calls its network twice a step without a cache_context, "
                "or three times, cannot be composed.",
            )
        return range(half, batch)

    def _strength_each(self, call: Call) -> list[float]:
        """gamma of each conditional row at this level."""
        count = len(call.rows)
        if not count:
            return []
        if len(self.strengths) not in (1, count):
            raise InvalidInput(f"{len(self.strengths)} prior strengths were given for {count} clips.", "Give one, or one a clip.")
        several = self.strengths if len(self.strengths) == count else self.strengths * count
        shares = self._noise_shares(call) if any(callable(one) for one in several) else [0.0] * count
        return [checked(one(share)) if callable(one) else one for one, share in zip(several, shares, strict=True)]

    def _noise_shares(self, call: Call) -> list[float]:
        """How much of each conditional row is noise; where its parts differ, of the noisiest."""
        assert self.adapter_path is not None  # held by _check
        angle = torch.atleast_1d(self.adapter_path.angle(call.inputs["timestep"]))
        shares = (angle.flatten(1).amax(1) if angle.ndim > 1 else angle) * 2 / math.pi
        return shares.expand(call.batch)[call.rows.start :].tolist()

    def _compose(self, call: Call, asked: list[int], adapter: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
        """The composition on the rows that ask for it.

        Args:
            adapter: the adapter's prediction for these rows.
            gammas: of these rows, all above zero.
        """
        sample = call.inputs[call.sample][asked]
        if self.mode == "normalised" and self.adapter_path == self.prior_path:
            return normalised_sum(adapter, self._ask_prior(call, asked, sample, adapter.shape), along(gammas, adapter))
        return self._compose_pairs(call, asked, sample, adapter, gammas)

    def _compose_pairs(
        self, call: Call, asked: list[int], sample: torch.Tensor, adapter: torch.Tensor, gammas: torch.Tensor
    ) -> torch.Tensor:
        """The composition of predictions of two kinds, on two paths, or with weights that do not sum to one: as pairs (x0, e)."""
        mine, theirs = self.adapter_path, self.prior_path
        assert mine is not None  # held by _check
        assert theirs is not None
        timestep = rows_of(torch.as_tensor(call.inputs["timestep"]), asked, call.batch)
        angle = their_angle = mine.angle(timestep)
        noisy = scaled = common_part(sample, adapter).float()
        if mine.same_levels(theirs):
            prior = self._ask_prior(call, asked, sample, adapter.shape)
        else:
            their_timestep = theirs.timestep(angle)
            their_angle = theirs.angle(their_timestep)
            scaled = noisy * along(theirs.scale(their_angle) / mine.scale(angle), noisy)
            sample = sample.clone()  # `noisy` may be a view of it
            common_part(sample, adapter).copy_(scaled)  # what else is in the sample, a given frame for one, has no noise
            prior = self._ask_prior(call, asked, sample, adapter.shape, their_timestep.to(timestep.device, torch.float32))
        a, s = (along(level, noisy) for level in mine.coefficients(angle))
        predicted, strength = common_part(adapter, noisy).float(), along(gammas, noisy)
        pair = consistent(*theirs.decode(common_part(prior, noisy).float(), scaled, their_angle), noisy, a, s)
        if self.mode == "paper":
            own = mine.decode(predicted, noisy, angle)
            composed = mine.encode(*paper_sum(own, pair, strength, s / a.clamp(min=SMALLEST), self.clamp), angle)
        else:
            composed = normalised_sum(predicted, mine.encode(*pair, angle), strength)
        result = adapter.float().clone()
        common_part(result, noisy).copy_(composed)
        return result

    def _ask_prior(
        self, call: Call, asked: list[int], sample: torch.Tensor, shape: torch.Size, timestep: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The prior's prediction for these rows, with its own arguments where they differ."""
        clips = [row - call.rows.start for row in asked]
        inputs = {name: rows_of(value, asked, call.batch, name) for name, value in call.inputs.items()} | {call.sample: sample}
        own = {name: rows_of(one_each(value, len(call.rows)), clips, len(call.rows), name) for name, value in self.prior_inputs.items()}
        inputs = as_network_takes(inputs | own, self.adapter, self.prior)
        if self._prior_names is not None:  # what else the adapter is told is of its own kind
            inputs = {name: value for name, value in inputs.items() if name in self._prior_names}
        if timestep is not None:
            inputs["timestep"] = timestep
        with _context(self.prior, "prior"):
            prior = _tensor(self.prior(**inputs))
        if prior.shape != shape:
            raise IncompatibleModels(
                f"The prior predicts {tuple(prior.shape)} where the adapter predicts {tuple(shape)}.",
                "Compose two models of one latent space.",
            )
        return prior


def _names_of(network: nn.Module) -> frozenset[str] | None:
    """The arguments that a network's call takes; None is any."""
    parameters = inspect.signature(network.forward).parameters
    return None if any(each.kind is each.VAR_KEYWORD for each in parameters.values()) else frozenset(parameters)


def _tensor(answer: Any) -> torch.Tensor:
    """The one prediction in a network's answer."""
    if isinstance(answer, tuple) and len(answer) > 1:
        raise IncompatibleModels(
            f"The network predicts {len(answer)} things at once (picture and sound, perhaps).", "Only one can be composed."
        )
    return answer[0] if isinstance(answer, tuple) else answer.sample


def _context(network: nn.Module, name: str, **place: Any) -> Any:
    """The network's own `cache_context`, where it has one."""
    return network.cache_context(name, **place) if hasattr(network, "cache_context") else nullcontext()
