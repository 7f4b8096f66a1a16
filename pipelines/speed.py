"""What makes a model faster or smaller, one switch each: precision, weights, attention, step cache, compilation, decoding, offloading.

    model = load("models/Wan2.1-T2V-1.3B-Diffusers", "cuda", Speed(precision="bfloat16", attention="_native_cudnn", compiled=True))
    with put_on(model, Speed(cache="first-block", threshold=0.08)):     # or keep what it gives, and close() it later
        model("a red ball")

All are diffusers' own. What a model cannot do is refused with a reason, and everything but the precision, which belongs to loading, can be
taken off again: then the model computes what it computed before.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from .caches import CACHES, cached, why_no_cache
from .errors import InvalidInput
from .forms import applied, denoisers, device_of, in_eight_bits, possible
from .inflation import VideoUNet
from .memory import AS_IT_IS, Form

Precision = Literal["", "float32", "bfloat16", "float16"]
Weights = Literal["", "fp8", "int8"]
Offload = Literal["", "model", "group"]
MOST_RATIO = 10  # of magnitudes; they are near 1
COMPILER = "inductor"  # torch's own
# Blocks of networks that diffusers has not marked as repeated.
REPEATED = ("BasicTransformerBlock", "CogVideoXBlock")
# What the switches that are on or off are called where they are refused.
CALLED = {"compiled": "compiled blocks", "tiled": "decoding in tiles", "sliced": "decoding frame by frame"}


@dataclass(frozen=True)
class Speed:
    """The switches of a model; as it is built, all are off.

    Args:
        precision: of weights and computation; "" is the family's own. Set when the model is loaded.
        weights: stored smaller than they are computed in: fp8 (diffusers' layerwise casting) or int8 (torchao).
        attention: a back end, by its name in diffusers; "" is torch's own choice.
        cache: a step cache: one of `caches.CACHES`; "" is none.
        threshold: of the cache: how much may change from step to step before blocks are computed again.
        ratios: of the MagCache: the model's magnitude ratios, one a step, measured beforehand.
        compiled: whether repeated blocks are compiled, at the price of a slow first call at each size.
        tiled: whether frames are decoded in tiles, whose seams are blended.
        sliced: whether frames, or videos, are decoded one by one.
        offload: which weights wait beside the device: of the parts ("model") or of the blocks ("group") that are not computed just then.
    """

    precision: Precision = ""
    weights: Weights = ""
    attention: str = ""
    cache: str = ""
    threshold: float = 0.05
    ratios: tuple[float, ...] = field(default=())
    compiled: bool = False
    tiled: bool = False
    sliced: bool = False
    offload: Offload = ""

    def __post_init__(self) -> None:
        for name, given, known in (
            ("precision", self.precision, get_args(Precision)),
            ("weights", self.weights, get_args(Weights)),
            ("attention", self.attention, ("", *attentions())),
            ("cache", self.cache, ("", *CACHES)),
            ("offload", self.offload, get_args(Offload)),
        ):
            if given not in known:
                raise InvalidInput(f"The {name} of a speed is {given!r}.", f"Choose one of {', '.join(filter(None, known))}.")
        if not 0 <= self.threshold <= 1:
            raise InvalidInput(f"The cache's threshold is {self.threshold!r}.", "Give a number from 0, which skips nothing, to 1.")
        if wrong := [ratio for ratio in self.ratios if not 0 < ratio < MOST_RATIO]:
            raise InvalidInput(f"One of the ratios is {wrong[0]!r}.", f"Give numbers above 0 and below {MOST_RATIO}, one a step.")

    @property
    def dtype(self) -> torch.dtype | None:
        """What `families.load` takes; None is the family's own choice."""
        return getattr(torch, self.precision) if self.precision else None

    @property
    def form(self) -> Form:
        """How it is decoded, and what waits: what `forms.applied` puts on for a job, of which cheaper forms start."""
        return replace(AS_IT_IS, offload=self.offload or "none", tiled=self.tiled, sliced=self.sliced)

    @property
    def resting(self) -> Speed:
        """What stays on between jobs: all but the form."""
        return replace(self, tiled=False, sliced=False, offload="")


def load(path: str | Path, device: str = "cpu", speed: Speed | None = None, components: Any = None) -> Any:
    """The model in a directory with its switches on. Raises as `families.load` and `put_on`."""
    from .families import load as load_as_it_is

    speed = speed or Speed()
    model = load_as_it_is(path, device, speed.dtype, components)
    put_on(model, speed)
    return model


def put_on(model: Any, speed: Speed, device: str | torch.device | None = None) -> ExitStack:
    """Turns the switches on.

    Args:
        model: loaded.
        speed: the switches.
        device: where it computes; None is where it is.

    Returns:
        What takes them all off again when it is closed, or at the end of its `with`.

    Raises:
        InvalidInput: where the model cannot do one of them, with the reason; then all are off.
    """
    check(model, speed, device)
    with ExitStack() as stack:
        for network in denoisers(model):
            if speed.weights:
                stack.enter_context(_small(network, speed.weights))
            if speed.attention:
                stack.enter_context(_attending(network, speed.attention))
            if speed.cache:
                stack.enter_context(cached(model, network, speed.cache, speed.threshold, speed.ratios))
            if speed.compiled:
                stack.enter_context(_compiled(network))
        if speed.form != AS_IT_IS:
            stack.enter_context(applied(model, _form(speed, denoisers(model)), device))
        return stack.pop_all()


def check(model: Any, speed: Speed, device: str | torch.device | None = None) -> None:
    """Raises InvalidInput for the first switch that a loaded model cannot have as asked, with the reason."""
    for switch, reason in cannot(model, speed, device).items():
        what = CALLED.get(switch) or f"the {switch} {getattr(speed, switch)!r}"
        raise InvalidInput(f"This model cannot run with {what}.", reason)


def cannot(model: Any, speed: Speed, device: str | torch.device | None = None) -> dict[str, str]:
    """Switch -> why a loaded model cannot have it as asked; empty where it can have all of them.

    Args:
        device: where it computes; None is where it is.
    """
    networks, target = denoisers(model), device_of(model, device)
    reasons: dict[str, str] = {}
    if speed.dtype and any(network.dtype != speed.dtype for network in networks):
        reasons["precision"] = f"It is loaded in {str(networks[0].dtype).removeprefix('torch.')}: load it again in the other."
    if speed.cache == "mag" and len(networks) > 1:
        reasons["cache"] = "Its experts share the steps, and each would count its own from the first."
    if speed.precision == "float16" and target.type == "cpu":
        reasons["precision"] = "A CPU computes float16 in few of its layers: take bfloat16."
    if speed.precision == "bfloat16" and any(isinstance(network, VideoUNet) for network in networks):
        reasons["precision"] = "What was tuned on it knows its weights as float16 keeps them, and would not find them."
    checks: tuple[tuple[str, Any, Callable[[Any], str]], ...] = (
        ("weights", speed.weights, lambda network: _why_not_small(network, speed.weights)),
        ("attention", speed.attention, lambda network: _why_not_attending(network, speed.attention)),
        ("cache", speed.cache, lambda network: why_no_cache(network, speed.cache, speed.ratios)),
        ("compiled", speed.compiled, _why_not_compiled),
    )
    for switch, wanted, why in checks:
        if wanted and (found := next(filter(None, map(why, networks)), "")):
            reasons.setdefault(switch, found)
    for switch, found in _why_not_formed(model, speed, networks, target).items():
        reasons.setdefault(switch, found)
    return reasons


def attentions() -> tuple[str, ...]:
    """The names of diffusers' attention back ends, without those whose code would come from the Hub."""
    from diffusers.models.attention_dispatch import AttentionBackendName

    return tuple(one.value for one in AttentionBackendName if not one.value.endswith("_hub"))


# -- weights --------------------------------------------------------------------------------------------------------------


def _why_not_small(network: Any, weights: Weights) -> str:
    if isinstance(network, VideoUNet):
        return "Tuned tensors are laid over its weights, in their own precision."
    if weights == "int8" and importlib.util.find_spec("torchao") is None:
        return "The package torchao is not installed; fp8 needs none."
    if weights == "fp8" and not hasattr(network, "enable_layerwise_casting"):
        return "Its network is not of diffusers' kind."
    return ""


@contextmanager
def _small(network: Any, weights: Weights) -> Iterator[None]:
    """Weights in 8 bits on the device; the whole ones wait in the machine's own memory, and come to where the network is at the end."""
    device = network.device
    nn.Module.to(network, "cpu")
    try:
        with in_eight_bits(network) if weights == "fp8" else _in_int8(network):
            nn.Module.to(network, device)
            try:
                yield
            finally:
                device = network.device  # it may have been moved meanwhile
                nn.Module.to(network, "cpu")
    finally:
        nn.Module.to(network, device)


@contextmanager
def _in_int8(network: nn.Module) -> Iterator[None]:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    whole = [(module, name, one) for module in network.modules() for name, one in module._parameters.items() if one is not None]
    quantize_(network, Int8WeightOnlyConfig())
    try:
        yield
    finally:
        for module, name, parameter in whole:
            module._parameters[name] = parameter


# -- attention ------------------------------------------------------------------------------------------------------------


def _why_not_attending(network: Any, name: str) -> str:
    from diffusers.models.attention_dispatch import AttentionBackendName, _check_attention_backend_requirements

    if not any(hasattr(getattr(module, "processor", None), "_attention_backend") for module in network.modules()):
        return "Its attention calls torch itself, whose choice of a kernel stands."
    try:
        _check_attention_backend_requirements(AttentionBackendName(name))
    except (RuntimeError, ImportError) as error:
        return f"{str(error).splitlines()[0].rstrip('.')}."
    return ""


@contextmanager
def _attending(network: Any, name: str) -> Iterator[None]:
    """diffusers makes a network's back end that of all others, too; here only this network changes."""
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Registry

    before, _ = Registry.get_active_backend()
    network.set_attention_backend(name)
    Registry.set_active_backend(before)
    try:
        yield
    finally:
        network.reset_attention_backend()


# -- decoding and offloading ----------------------------------------------------------------------------------------------


def _form(speed: Speed, networks: list[Any]) -> Form:
    """In the precision that the networks have."""
    return replace(speed.form, bytes=networks[0].dtype.itemsize if networks else 4)


def _why_not_formed(model: Any, speed: Speed, networks: list[Any], device: torch.device) -> dict[str, str]:
    found = {}
    for switch in ("tiled", "sliced", "offload"):
        if wanted := getattr(speed, switch):
            found[switch] = possible(model, _form(Speed(**{switch: wanted}), networks))
    if speed.offload and any(isinstance(network, VideoUNet) for network in networks):
        found["offload"] = "It is tuned and finished with as well, for which it must be on the device as a whole."
    if speed.offload and device.type == "cpu":
        found["offload"] = "On a CPU nothing is gained: all of it is in the machine's own memory anyway."
    return {switch: why for switch, why in found.items() if why}


# -- compilation ----------------------------------------------------------------------------------------------------------


def _why_not_compiled(network: Any) -> str:
    if os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true"):
        return "Where a GPU is lent by the call, what was compiled is lost after it."
    return "" if _repeated(network) else "It has no blocks that repeat."


def _repeated(network: nn.Module) -> list[nn.Module]:
    names = getattr(network, "_repeated_blocks", None) or REPEATED
    return [module for module in network.modules() if type(module).__name__ in names]


@contextmanager
def _compiled(network: nn.Module) -> Iterator[None]:
    """Block by block: one compilation serves them all, and what lies between them stays as it is."""
    blocks = _repeated(network)
    for block in blocks:
        block.compile(backend=COMPILER)
    try:
        yield
    finally:
        for block in blocks:
            block._compiled_call_impl = None  # what `compile` sets, and calls look for
