"""What the step cache "mag" goes by, measured: how large each step's update is, compared with that of the step before.

Ma et al., "MagCache: Fast Video Generation with Magnitude-Aware Cache", arXiv 2506.09045: the ratios belong to the model, hardly to the
prompt, so that one clip tells them for all. diffusers' own calibration measures; here it is listened to.

    with measuring(model) as ratios:
        model("a person walks along a beach")
    Speed(cache="mag", ratios=ratios())
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import fmean
from typing import Any

from .caches import why_no_cache
from .errors import InvalidInput
from .forms import denoisers

NEVER = 10**9  # steps after which diffusers would print what it found, and forget it
HOOK = "mag_cache_block_hook"  # diffusers' name of what looks at the last block


def why_not_measured(model: Any) -> str:
    """Why a model's magnitudes cannot be measured; "" where they can."""
    return next(filter(None, (why_no_cache(network, "mag", (1.0,)) for network in denoisers(model))), "")


@contextmanager
def measuring(model: Any) -> Iterator[Callable[[], tuple[float, ...]]]:
    """What gives the ratios, one a step, of the calls until the end of the `with`; a cache that is on is off for so long.

    Raises:
        InvalidInput: where the model cannot have this cache.
    """
    if why := why_not_measured(model):
        raise InvalidInput("The magnitudes of this model cannot be measured.", why)
    network, found = denoisers(model)[0], defaultdict(list)
    with ExitStack() as stack:
        if before := network._cache_config:
            network.disable_cache()
            stack.callback(network.enable_cache, before)
        stack.enter_context(_told(network, lambda step, ratio: found[step].append(ratio)))
        # Guided and unguided calls differ little, and the cache has one list for both.
        yield lambda: tuple(round(fmean(found[step]), 4) for step in sorted(found))


@contextmanager
def _told(network: Any, tell: Callable[[int, float], None]) -> Iterator[None]:
    """`tell` hears each step and its ratio, of every branch of guidance."""
    from diffusers import MagCacheConfig

    network.enable_cache(MagCacheConfig(calibrate=True, num_inference_steps=NEVER))
    hooks = [module._diffusers_hook.get_hook(HOOK) for module in network.modules() if hasattr(module, "_diffusers_hook")]
    hook: Any = next(each for each in hooks if each is not None and each.is_tail)
    measure = hook._perform_calibration_step

    def measured(state: Any, residual: Any) -> None:
        measure(state, residual)
        tell(state.step_index, state.calibration_ratios[-1])

    hook._perform_calibration_step = measured
    try:
        yield
    finally:
        network.disable_cache()
