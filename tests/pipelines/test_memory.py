"""A job's memory is estimated from headers, and the estimate agrees with what full-size networks hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from pipelines.errors import InvalidInput, OutOfMemory
from pipelines.families import FAMILIES, FrameRule
from pipelines.memory import COSTS, GIB, RUNTIME, SLACK, Form, Job, Model, first_that_fits, forms, model_of, need
from tests.pipelines.directories import save
from tests.pipelines.peaks import empty, on_meta, peak_bytes

# Said by diffusers and transformers while a pipeline is imported or built.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

RULE = FrameRule(4, 1, 1, 161)
# Parameters as counted on the meta device; UMT5-XXL's encoder has 5.68 billion.
WAN_14B = Model("wan", (14_288_500_000,), 5_680_000_000, 126_900_000, True, 40, 5120, 0, 16, RULE)
WAN_1_3B = replace(WAN_14B, denoisers=(1_419_000_000,), blocks=30, width=1536)
JOB = Job(832, 480, 81)
LATENTS, TEXT = (1, 16, 21, 60, 104), (1, 512, 4096)


def wan_14b(monkeypatch: pytest.MonkeyPatch) -> int:
    network = on_meta(diffusers.WanTransformer3DModel, num_layers=2)  # blocks run one after another: two hold what forty do
    return peak_bytes(network, lambda: network(empty(*LATENTS), empty(1, dtype=torch.int64), empty(*TEXT)), monkeypatch)


def ltx(monkeypatch: pytest.MonkeyPatch) -> int:
    network, tokens = on_meta(diffusers.LTXVideoTransformer3DModel, num_layers=2), 21 * 16 * 22
    inputs = (empty(2, tokens, 128), empty(2, 128, 4096), empty(2, dtype=torch.int64), empty(2, 128))
    return peak_bytes(network, lambda: network(*inputs, 21, 16, 22), monkeypatch)


def cogvideox(monkeypatch: pytest.MonkeyPatch) -> int:
    network = on_meta(diffusers.CogVideoXTransformer3DModel, num_attention_heads=48, num_layers=2)
    inputs = (empty(2, 13, 16, 60, 90), empty(2, 226, 4096), empty(2, dtype=torch.int64))
    return peak_bytes(network, lambda: network(*inputs), monkeypatch)


def sana_video(monkeypatch: pytest.MonkeyPatch) -> int:
    network = on_meta(diffusers.SanaVideoTransformer3DModel, num_layers=2)
    inputs = (empty(2, *LATENTS[1:]), empty(2, 300, 2304), empty(2, dtype=torch.int64))
    return peak_bytes(network, lambda: network(*inputs), monkeypatch)


def kandinsky(monkeypatch: pytest.MonkeyPatch) -> int:
    network = on_meta(
        diffusers.Kandinsky5Transformer3DModel, in_visual_dim=16, out_visual_dim=16, model_dim=1792, ff_dim=7168, num_visual_blocks=2
    )
    places = [torch.arange(count, device="meta") for count in (31, 32, 48, 256)]
    inputs = (empty(1, 31, 64, 96, 16), empty(1, 256, 3584), empty(1), empty(1, 768), places[:3], places[3])
    return peak_bytes(network, lambda: network(*inputs), monkeypatch)


LTX = Model("ltx", (1_923_400_000,), 0, 0, False, 28, 2048, 0, 32, FrameRule(8, 1, 1, 257))
SANA = Model("sana-video", (2_000_000_000,), 0, 0, True, 20, 2240, 0, 16, RULE)
KANDINSKY = Model("kandinsky-5", (2_000_000_000,), 0, 0, False, 32, 1792, 0, 16, RULE)
COGVIDEOX = Model("cogvideox", (5_570_300_000,), 0, 0, False, 42, 3072, 0, 16, FrameRule(8, 1, 1, 49))


@pytest.mark.parametrize(
    ("measured", "model", "job"),
    [
        (wan_14b, WAN_14B, JOB),
        (ltx, LTX, Job(704, 512, 161)),
        (cogvideox, COGVIDEOX, Job(720, 480, 49)),
        (sana_video, SANA, JOB),
        (kandinsky, KANDINSKY, Job(768, 512, 121)),
    ],
    ids=["Wan 14B", "LTX 2B", "CogVideoX 5b", "SANA-Video", "Kandinsky 5"],
)
def test_denoising_is_estimated_near_what_the_full_size_network_holds(
    measured: Any, model: Model, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0.95 < need(model, job, Form("", "")).denoising / measured(monkeypatch) < 1.6


def test_decoding_is_estimated_near_what_the_full_size_autoencoder_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    network = on_meta(diffusers.AutoencoderKL, block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, **levels)
    measured = peak_bytes(network, lambda: network.decode(empty(16, 4, 64, 64)), monkeypatch)
    model = Model("animatediff", (1,), 0, 0, False, 9, 0, 320, 8, FrameRule())
    assert 0.95 < need(model, Job(512, 512, 16), Form("", "")).decoding / measured < 1.2


def test_every_family_has_its_costs() -> None:
    assert set(COSTS) == set(FAMILIES)


@pytest.mark.parametrize("name", ["wan, two experts", "animatediff", "studio"])
def test_a_directory_s_weights_are_counted_part_by_part(name: str, tmp_path: Path) -> None:
    model = model_of(save(name, tmp_path / "model"))
    assert len(model.denoisers) == (2 if "two" in name else 1)
    assert min(*model.denoisers, model.texts) > 1000
    counts = (sum(model.denoisers), model.texts, model.autoencoder)
    vae = 4 if model.precise else 2
    assert need(model, Job(16, 16, 5), Form("", "")).weights == counts[0] * 2 + counts[1] * 2 + counts[2] * vae


def test_the_need_is_the_formula_s() -> None:
    tokens = 21 * 30 * 52
    denoising, decoding = 16 * tokens * 5120 * 2, 10700 * 832 * 480 * 2 + 81 * 832 * 480 * 3 * 4
    weights = 14_288_500_000 * 2 + 5_680_000_000 * 2 + 126_900_000 * 4
    told = need(WAN_14B, JOB, Form("", ""))
    assert (told.weights, told.denoising, told.decoding) == (weights, denoising, decoding)
    assert told.total == pytest.approx((weights + max(denoising, decoding)) * SLACK + RUNTIME, abs=2)


def test_offloaded_parts_are_in_turn_and_wait_outside() -> None:
    told = need(WAN_14B, JOB, Form("", "", offload="model"))
    assert told.weights == 14_288_500_000 * 2
    assert told.offloaded == 5_680_000_000 * 2 + 126_900_000 * 4


@pytest.mark.parametrize("model", [WAN_14B, WAN_1_3B], ids=["14B", "1.3B"])
def test_each_form_needs_no_more_than_the_one_before(model: Model) -> None:
    needs = [need(model, JOB, form).total for form in forms(model, JOB)]
    assert needs == sorted(needs, reverse=True)
    assert len(needs) == 7


def test_more_frames_larger_pictures_and_more_videos_need_more() -> None:
    least = need(WAN_1_3B, JOB, Form("", "")).total
    for larger in (replace(JOB, frames=161), replace(JOB, width=1664), replace(JOB, videos=4)):
        assert need(WAN_1_3B, larger, Form("", "")).total > least


TURNS = Form("as it is", "", offload="model")
CHOSEN = {
    "tiled": (Form("as it is", "", tiled=True), ["as it is", "parts in turn", "8-bit weights", "blocks in turn", "fewer frames"]),
    "parts in turn": (TURNS, ["as it is", "decoded in tiles", "8-bit weights", "blocks in turn", "fewer frames"]),
    "blocks in turn": (Form("as it is", "", offload="group"), ["as it is", "decoded in tiles", "fewer frames"]),
    "8 bits": (Form("as it is", "", held=1.1), ["as it is", "decoded in tiles", "parts in turn", "blocks in turn", "fewer frames"]),
}


@pytest.mark.parametrize(("chosen", "titles"), CHOSEN.values(), ids=CHOSEN)
def test_what_is_chosen_is_in_every_form_and_offered_by_none(chosen: Form, titles: list[str]) -> None:
    found = [form for form in forms(WAN_14B, JOB, chosen=chosen) if form.bytes == 2]
    assert [form.title for form in found] == titles
    assert all(form.held == chosen.held and form.tiled >= chosen.tiled for form in found)
    needs = [need(WAN_14B, JOB, form).total for form in found]
    assert needs == sorted(needs, reverse=True)


def test_weights_in_8_bits_by_a_switch_are_counted_so() -> None:
    whole, small = need(WAN_14B, JOB, Form("", "")), need(WAN_14B, JOB, Form("", "", held=1.0))
    assert whole.weights - small.weights == 14_288_500_000


def test_decoding_frame_by_frame_needs_less_where_frames_are_decoded_together() -> None:
    model, job = Model("stable-diffusion", (1,), 0, 0, False, 9, 0, 320, 8, FrameRule()), Job(512, 512, 16)
    assert need(model, job, Form("", "", sliced=True)).decoding < need(model, job, Form("", "")).decoding / 8


@pytest.mark.parametrize(("gigabytes", "title"), [(140, "as it is"), (38, "parts in turn"), (24, "8-bit weights"), (11, "blocks in turn")])
def test_the_first_form_that_fits_is_offered(gigabytes: int, title: str) -> None:
    assert first_that_fits(WAN_14B, JOB, gigabytes * GIB).title == title


def test_what_does_not_fit_the_machine_s_own_memory_is_not_offloaded_to_it() -> None:
    with pytest.raises(OutOfMemory):
        first_that_fits(WAN_14B, JOB, 38 * GIB, host=4 * GIB)


def test_a_job_that_never_fits_is_refused_with_the_numbers() -> None:
    with pytest.raises(OutOfMemory, match=r"81 frames of 832 x 480 need \d+\.\d GiB at least, and the device has 2\.0 GiB"):
        first_that_fits(WAN_14B, JOB, 2 * GIB)
    with pytest.raises(InvalidInput, match="0 frames"):
        first_that_fits(WAN_14B, replace(JOB, frames=0), GIB)


def test_without_half_precision_everything_is_in_full(tmp_path: Path) -> None:
    assert {form.bytes for form in forms(WAN_1_3B, JOB, half=False)} == {4}


def test_all_of_ltx_2_that_waits_beside_its_denoiser_is_counted(tmp_path: Path) -> None:
    from safetensors import safe_open

    folder = save("ltx-2", tmp_path / "model")
    model, counted = model_of(folder), 0
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            counted += sum(tensors.get_tensor(name).numel() for name in tensors.keys())  # noqa: SIM118  no dictionary
    assert model.texts + sum(model.denoisers) + model.autoencoder == counted
