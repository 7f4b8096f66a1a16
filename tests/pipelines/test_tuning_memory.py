"""The memory of one-shot tuning is estimated from headers, and the estimate agrees with what a full-size network holds in a step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipelines.errors import OutOfMemory
from pipelines.families import FrameRule
from pipelines.inflation import VideoUNet
from pipelines.memory import GIB, Job, Model
from pipelines.one_shot import laid_over, trainable_parameters
from pipelines.tuned_network import frozen
from pipelines.tuning_memory import CHECKPOINTED, KEPT, PLAIN, TILED, TWICE, Learner, first_way, tuning_bytes
from tests.benchmarks.one_shot import UNET
from tests.pipelines.peaks import _Held, empty, on_meta

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
STABLE_DIFFUSION = Model("stable-diffusion", (908_900_000,), 123_060_480, 83_653_863, False, 9, 0, 320, 8, FrameRule())
LEARNER, JOB = Learner(STABLE_DIFFUSION, 74_400_000), Job(512, 512, 24)


class _Fused(torch.autograd.Function):
    """As a fused kernel: what it was given and what it gives is kept for the way back, and no matrix of all pairs."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, out)
        return out

    @staticmethod
    def backward(ctx: Any, _: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.empty_like(each) for each in ctx.saved_tensors[:3])


@pytest.mark.parametrize(("checkpointing", "cost"), [(True, TWICE), (False, KEPT)])
def test_a_step_is_estimated_near_what_sd_1_holds(checkpointing: bool, cost: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda query, key, value, **_: _Fused.apply(query, key, value))
    network: nn.Module = on_meta(VideoUNet, temporal_conv=False, frame_position=False, sparse_causal=True, **UNET)
    if checkpointing:
        network.enable_gradient_checkpointing()  # type: ignore[operator]
    learning = {name: each.detach().clone().requires_grad_() for name, each in trainable_parameters(network).items()}
    with _Held(network) as held, frozen(network), laid_over(network, learning, True):  # type: ignore[arg-type]
        predicted = network(empty(1, 4, 8, 64, 64), empty(1, dtype=torch.int64), empty(1, 77, 768), return_dict=False)[0]
        predicted.float().square().mean().backward()
    assert 0.95 < cost * 8 * 64 * 64 * 320 * 2 / held.peak < 1.2


def test_the_first_way_that_fits_is_taken_and_what_fits_in_none_is_refused_with_a_length_that_would_fit() -> None:
    plain, checkpointed, tiled = (tuning_bytes(LEARNER, JOB, way) for way in (PLAIN, CHECKPOINTED, TILED))
    assert plain > checkpointed > tiled
    assert first_way(LEARNER, JOB, checkpointed, LEARNER.ways(True, True)) is CHECKPOINTED
    assert first_way(LEARNER, JOB, checkpointed - 1, LEARNER.ways(False, True)) is TILED
    with pytest.raises(OutOfMemory, match=r"Learning 24 frames of 512 x 512 needs \d+.\d GiB at least, and the device has 8.0 GiB."):
        first_way(LEARNER, JOB, 8 * GIB, LEARNER.ways(True, True))
    with pytest.raises(OutOfMemory, match=r"Choose \d+ frames or fewer"):
        first_way(LEARNER, JOB, 8 * GIB, LEARNER.ways(True, True))
