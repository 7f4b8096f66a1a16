"""Step caches: what a transformer's blocks gave at the step before is used again where little has changed. diffusers' own, by name.

first-block   FirstBlockCache: the first block's change from step to step says whether the others are computed (ParaAttention)
mag           MagCache: magnitudes measured beforehand say it (Ma et al., arXiv 2506.09045)
taylor        TaylorSeer: features are extrapolated from the last steps (Liu et al., arXiv 2503.06923)
pyramid       Pyramid Attention Broadcast: attention of a few steps ago (Zhao et al., arXiv 2408.12588)
faster        FasterCache: attention, and the unconditional half, of a few steps ago (Lv et al., arXiv 2410.19355)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from .forms import pipeline_of


@dataclass(frozen=True)
class Cache:
    """Args:
    title: for people.
    config: its class in diffusers.
    by_blocks: whether it skips whole blocks, and not the attention in them.
    """

    title: str
    config: str
    by_blocks: bool


CACHES = {
    "first-block": Cache("First block", "FirstBlockCacheConfig", True),
    "mag": Cache("Magnitudes", "MagCacheConfig", True),
    "taylor": Cache("Taylor series", "TaylorSeerCacheConfig", False),
    "pyramid": Cache("Attention broadcast", "PyramidAttentionBroadcastConfig", False),
    "faster": Cache("Faster", "FasterCacheConfig", False),
}


ONE_CALL = "Its pipeline does not say for which text it asks its network, which this cache keeps apart."
TWO_CALLS = "Its pipeline asks its network twice a step without saying for which text: a cache would mix the answers."
HINTS = "Hints are added between its blocks: left out and put together again, they would be there twice."
LAST_BLOCK = "Its last block has no answer for the text, which this cache keeps."


def why_no_cache(network: Any, name: str, ratios: tuple[float, ...] = ()) -> str:
    """Why a network cannot have a cache; "" where it can."""
    import diffusers

    cache = CACHES[name]
    if not hasattr(diffusers, cache.config):
        return f"The installed diffusers ({diffusers.__version__}) has no {cache.config}."
    if not hasattr(network, "enable_cache"):
        return "Its network is not a row of transformer blocks."
    if reason := _of_pipeline(network, name):
        return reason
    if name == "mag" and not ratios:
        return "Its magnitudes have not been measured: measure them, give its ratios, or choose another cache."
    if cache.by_blocks and (unknown := next((type(block).__name__ for block in _blocks(network) if not _known(block)), "")):
        return f"diffusers does not know what its blocks ({unknown}) give."
    if cache.by_blocks and len(_blocks(network)) < 2:
        return "It has one block, which would have to say what the others do."
    return ""


@contextmanager
def cached(model: Any, network: Any, name: str, threshold: float, ratios: tuple[float, ...] = ()) -> Iterator[None]:
    """The network with a cache until the end of the `with`. A pipeline empties it at the end of each call.

    Args:
        model: whose pipeline says at which timestep it is.
        network: of the model; `why_no_cache` has nothing against it.
        name: one of `CACHES`.
        threshold: 0 computes everything at every step, where the cache has a threshold.
        ratios: of a MagCache; those of as many steps as a call has are taken from them, evenly spread.
    """
    network.enable_cache(_config(pipeline_of(model), network, name, threshold, ratios))
    try:
        yield
    finally:
        network.disable_cache()


def _config(pipe: Any, network: Any, name: str, threshold: float, ratios: tuple[float, ...]) -> Any:
    import diffusers

    kind = getattr(diffusers, CACHES[name].config)
    if name == "first-block":
        return kind(threshold=threshold)
    if name == "mag":
        return _by_magnitudes(kind, pipe, threshold, ratios)
    if name == "taylor":
        return kind(cache_identifiers=[r"(.*\.)?attn\d?"])
    if name == "pyramid":
        return kind(spatial_attention_block_skip_range=2, current_timestep_callback=lambda: _timestep(pipe))
    # It can leave out the unconditional half of a batch; where a pipeline asks twice a step, or in patches, there is none to be found.
    halves = type(network).__name__ == "CogVideoXTransformer3DModel"
    return kind(
        current_timestep_callback=lambda: _timestep(pipe),
        attention_weight_callback=lambda _: 0.5,  # as its authors
        is_guidance_distilled=not halves,
        tensor_format="BFCHW",
    )


def _by_magnitudes(kind: Any, pipe: Any, threshold: float, ratios: tuple[float, ...]) -> Any:
    """diffusers' configuration with the steps of each call, which it takes for known when the cache is put on."""

    class Following(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            self.threshold, self.max_skip_steps, self.retention_ratio, self.calibrate = threshold, 3, 0.2, False

        @property
        def num_inference_steps(self) -> int:
            return len(pipe.scheduler.timesteps)

        @property
        def mag_ratios(self) -> list[float]:
            last = max(self.num_inference_steps - 1, 1)
            return [ratios[round(step * (len(ratios) - 1) / last)] for step in range(self.num_inference_steps)]

    return Following()


def _of_pipeline(network: Any, name: str) -> str:
    """What speaks against a cache in how a network is called by its pipelines, and has not shown in the network itself."""
    kind, pictures = type(network).__name__, getattr(network, "config", {}).get("image_condition_type")
    if kind == "Kandinsky5Transformer3DModel":
        return TWO_CALLS
    if kind == "WanVACETransformer3DModel" and CACHES[name].by_blocks:
        return HINTS
    if (kind == "LatteTransformer3DModel" or pictures) and name in ("first-block", "mag", "taylor"):
        return ONE_CALL
    return LAST_BLOCK if kind == "MochiTransformer3DModel" and name == "faster" else ""


def _timestep(pipe: Any) -> Any:
    """Of the step that is made now; from the scheduler, which a family's two pipelines share, where it counts its steps."""
    index = getattr(pipe.scheduler, "step_index", None)
    return pipe.current_timestep if index is None and not hasattr(pipe.scheduler, "step_index") else pipe.scheduler.timesteps[index or 0]


def _blocks(network: nn.Module) -> list[nn.Module]:
    """The longest row of blocks that the network has."""
    rows = [list(child) for child in network.children() if isinstance(child, nn.ModuleList)]
    return max(rows, key=len, default=[])


def _known(block: nn.Module) -> bool:
    """Whether diffusers' registry says what a block returns; asking for others raises."""
    from diffusers.hooks._helpers import TransformerBlockRegistry

    try:
        return TransformerBlockRegistry.get(type(block)) is not None
    except ValueError:
        return False
