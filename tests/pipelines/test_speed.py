"""Every switch that makes a model faster, on tiny models of the families: what it keeps, what it saves, and that it comes off again."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines import families, speed
from pipelines.caches import CACHES, why_no_cache
from pipelines.errors import InvalidInput
from pipelines.forms import applied, denoisers, possible
from pipelines.memory import Form
from pipelines.speed import Speed, attentions, cannot, load, put_on
from tests.pipelines.directories import LAYOUTS, save
from tests.pipelines.families import FAMILIES, Family, kandinsky_5, latte, mochi
from tests.pipelines.more_directories import wan_vace_network
from tests.tiny import tiny_pipeline

# Said by diffusers and transformers while such a pipeline is imported, built or run.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
STEPS = 10
BY_BLOCKS = [name for name, cache in CACHES.items() if cache.by_blocks]


class Deep:
    """A family's pipeline whose network has three blocks, with what it makes and how often its attention is computed."""

    def __init__(self, family: Family) -> None:
        torch.manual_seed(0)
        self.family, self.pipe = family, family.pipe
        self.network: Any = type(family.denoiser).from_config({**family.denoiser.config, "num_layers": 3})
        self.calls = 0
        for name, module in self.network.named_modules():
            if name.endswith((".to_q", ".to_qkv")):
                module.register_forward_hook(self._count)
        self.latents = self.make()
        self.all_calls = self.calls

    def make(self) -> torch.Tensor:
        self.calls = 0
        return self.family.make(self.network, num_inference_steps=STEPS)

    def _count(self, *_: Any) -> None:
        self.calls += 1


@pytest.fixture(params=["Wan", "LTX", "CogVideoX", "HunyuanVideo", "HunyuanVideo 1.5"], scope="module")
def deep(request: pytest.FixtureRequest) -> Deep:
    return Deep(FAMILIES[request.param]())


def only(*wanted: str) -> Any:
    return pytest.mark.parametrize("deep", wanted, indirect=True, scope="module")


@only("Wan", "LTX", "CogVideoX", "HunyuanVideo")
def test_a_cache_at_threshold_0_gives_the_same_as_without(deep: Deep) -> None:
    for name in BY_BLOCKS:
        with put_on(deep.pipe, Speed(cache=name, threshold=0.0, ratios=(0.9,) * STEPS)):
            assert torch.equal(deep.make(), deep.latents), name
            assert deep.calls == deep.all_calls


@pytest.mark.parametrize(
    ("network", "caches", "said"),
    [
        (kandinsky_5, tuple(CACHES), "twice a step"),
        (latte, ("first-block", "taylor"), "keeps apart"),
        (mochi, ("faster",), "no answer for the text"),
        (wan_vace_network, tuple(BY_BLOCKS), "twice"),
    ],
)
def test_a_cache_that_would_mix_answers_up_is_refused_before_it_runs(network: Any, caches: tuple[str, ...], said: str) -> None:
    made = network()
    for name in caches:
        assert said in why_no_cache(getattr(made, "denoiser", made), name, (0.9,))


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_saves_calls_stays_near_and_comes_off(deep: Deep, name: str) -> None:
    wanted = Speed(cache=name, threshold=0.5, ratios=(0.9,) * STEPS)
    if cannot(deep.pipe, wanted):
        assert name in BY_BLOCKS
        assert "does not know what its blocks (HunyuanVideo15TransformerBlock) give" in cannot(deep.pipe, wanted)["cache"]
        return
    with put_on(deep.pipe, wanted):
        first = deep.make()
        assert deep.calls < deep.all_calls
        assert torch.equal(deep.make(), first)  # nothing of one call is left for the next
    assert 0 < (first - deep.latents).abs().mean() < 0.2
    assert torch.equal(deep.make(), deep.latents)
    assert deep.calls == deep.all_calls


@only("Wan", "LTX", "HunyuanVideo")
def test_an_attention_back_end_is_this_model_s_alone_and_comes_off(deep: Deep) -> None:
    other = Deep(FAMILIES["Wan"]())
    with put_on(deep.pipe, Speed(attention="_native_math")):
        assert torch.allclose(deep.make(), deep.latents, atol=1e-4)
        processors = [module.processor for module in deep.network.modules() if hasattr(module, "processor")]
        assert "_native_math" in {getattr(each, "_attention_backend", None) for each in processors}
        assert torch.equal(other.make(), other.latents)
    assert torch.equal(deep.make(), deep.latents)


@only("Wan")
def test_an_attention_back_end_that_is_not_there_is_refused_with_what_it_needs(deep: Deep) -> None:
    with pytest.raises(InvalidInput, match="sageattention"):
        put_on(deep.pipe, Speed(attention="sage"))
    assert "_native_cudnn" in attentions()
    assert not any(name.endswith("_hub") for name in attentions())
    with pytest.raises(InvalidInput, match=r"attention of a speed is 'flash_hub'\. Choose one of .*native"):
        Speed(attention="flash_hub")


@only("CogVideoX")
def test_compiled_blocks_give_the_same_and_come_off(deep: Deep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "COMPILER", "eager")  # traced as always; the machine code takes a minute
    blocks = speed._repeated(deep.network)
    assert len(blocks) == 3
    with put_on(deep.pipe, Speed(compiled=True)):
        assert torch.allclose(deep.make(), deep.latents, atol=1e-4)
        assert all(block._compiled_call_impl for block in blocks)
    assert not any(block._compiled_call_impl for block in blocks)
    assert torch.equal(deep.make(), deep.latents)


@only("Wan")
def test_where_a_gpu_is_lent_by_the_call_nothing_is_compiled(deep: Deep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert "lost after it" in cannot(deep.pipe, Speed(compiled=True))["compiled"]


@only("Wan", "LTX", "CogVideoX")
def test_weights_in_float8_are_smaller_and_come_back_whole(deep: Deep) -> None:
    with put_on(deep.pipe, Speed(weights="fp8")):
        assert any(parameter.dtype == torch.float8_e4m3fn for parameter in deep.network.parameters())
        assert 0 < (deep.make() - deep.latents).abs().mean() < 0.2
        assert possible(deep.pipe, Form("", "", 4, 1)) == "Its weights are in 8 bits already."
    assert torch.equal(deep.make(), deep.latents)


@only("Wan")
def test_int8_needs_torchao_and_says_so_where_it_is_not_there(deep: Deep) -> None:
    reasons = cannot(deep.pipe, Speed(weights="int8"))
    if importlib.util.find_spec("torchao") is None:
        assert reasons == {"weights": "The package torchao is not installed; fp8 needs none."}
        return
    with put_on(deep.pipe, Speed(weights="int8")):
        assert 0 < (deep.make() - deep.latents).abs().mean() < 0.2
    assert torch.equal(deep.make(), deep.latents)


# Compiled blocks as well, which takes too long to be repeated here.
SWITCHED = [Speed(cache="first-block", threshold=0.5), Speed(weights="fp8", cache="taylor")]


@only("Wan")
@pytest.mark.parametrize("switched", SWITCHED, ids=lambda each: f"{each.weights} {each.cache}".strip())
@pytest.mark.parametrize("offload", ["model", "group"])
def test_what_waits_in_turn_gives_the_same_under_every_other_switch(deep: Deep, switched: Speed, offload: Any) -> None:
    with put_on(deep.pipe, switched):
        alone = deep.make()
        with applied(deep.pipe, replace(Speed(offload=offload).form, bytes=4), "cpu"):
            assert torch.equal(deep.make(), alone)
        assert torch.equal(deep.make(), alone)
    assert torch.equal(deep.make(), deep.latents)


@only("Wan")
def test_decoding_in_tiles_and_frame_by_frame_is_on_and_comes_off(deep: Deep) -> None:
    vae = deep.pipe.vae
    with put_on(deep.pipe, Speed(tiled=True)):
        assert vae.use_tiling
    with put_on(deep.pipe, Speed(sliced=True)):
        assert (vae.use_tiling, vae.use_slicing) == (False, True)
    assert (vae.use_tiling, vae.use_slicing) == (False, False)


@only("LTX")
def test_several_switches_go_together_and_all_come_off(deep: Deep) -> None:
    with put_on(deep.pipe, Speed(weights="fp8", attention="_native_math", cache="first-block", threshold=0.5)):
        assert torch.isfinite(deep.make()).all()
        assert deep.calls < deep.all_calls
    assert torch.equal(deep.make(), deep.latents)


@only("Wan")
def test_where_one_switch_is_refused_none_is_on(deep: Deep) -> None:
    with pytest.raises(InvalidInput, match="have not been measured"):
        put_on(deep.pipe, Speed(weights="fp8", cache="mag"))
    assert torch.equal(deep.make(), deep.latents)


def test_the_studio_s_own_network_says_what_it_cannot_and_compiles_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tiny_pipeline()
    monkeypatch.setattr(speed, "COMPILER", "eager")
    assert not cannot(pipe, Speed(compiled=True))
    assert "not a row of transformer blocks" in cannot(pipe, Speed(cache="first-block"))["cache"]
    options: dict[str, Any] = {"num_frames": 4, "num_inference_steps": 2, "output_type": "latent"}

    def make() -> Any:
        return pipe("a red ball", **options, generator=torch.Generator().manual_seed(0)).frames

    before = make()
    with put_on(pipe, Speed(compiled=True)):
        assert torch.allclose(make(), before, atol=1e-4)
    assert torch.equal(make(), before)


def test_precision_belongs_to_loading(tmp_path: Path) -> None:
    folder = save("wan", tmp_path / "model")
    model = load(folder, speed=Speed(precision="bfloat16", attention="_native_math"))
    model.set_progress_bar_config(disable=True)
    assert denoisers(model)[0].dtype == torch.bfloat16
    assert model.vae.dtype == torch.float32
    frames = model("a red ball", **LAYOUTS["wan"].order, num_inference_steps=2, generator=torch.Generator().manual_seed(0)).frames
    assert frames.shape[1] == 5
    assert cannot(model, Speed(precision="float32"))["precision"] == "It is loaded in bfloat16: load it again in the other."
    assert "take bfloat16" in cannot(families.load(folder), Speed(precision="float16"))["precision"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"precision": "half"}, "'half'"),
        ({"cache": "tea"}, "first-block"),
        ({"threshold": 2}, "2"),
        ({"weights": "int4"}, "fp8, int8"),
        ({"offload": "all"}, "model, group"),
    ],
)
def test_a_switch_that_does_not_exist_is_refused_when_it_is_set(values: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Speed(**values)
