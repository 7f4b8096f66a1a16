"""Tiny models of the families take on every cheaper form, give the same frames in it, and are as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig

from pipelines import families
from pipelines.errors import InvalidInput
from pipelines.forms import applied, denoisers, pipeline_of, possible
from pipelines.memory import Form
from tests.pipelines.directories import LAYOUTS, save

# Said by diffusers and transformers while such a pipeline is imported, built or run.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
FORMS = {
    "in tiles": Form("decoded in tiles", "", 4, tiled=True),
    "parts in turn": Form("parts in turn", "", 4, offload="model", tiled=True),
    "blocks in turn": Form("blocks in turn", "", 4, offload="group"),
}
EIGHT_BITS = Form("8-bit weights", "", 4, 1, offload="model")
AS_IT_IS = Form("as it is", "", 4)
GREY_LEVEL = 1 / 255  # on processors with bfloat16 units the order of sums shows


@pytest.fixture(params=["studio", "stable-diffusion", "wan, two experts", "ltx", "cogvideox", "animatediff", "modelscope"], scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    loaded = families.load(save(name, tmp_path_factory.mktemp("family") / "model"))
    loaded.set_progress_bar_config(disable=True)
    return loaded


def make(model: Any, name: str) -> np.ndarray:
    common = {"num_inference_steps": 2, "guidance_scale": 3.0, "generator": torch.Generator().manual_seed(0)}
    return model("a red ball", **LAYOUTS[name].order, **common).frames


@pytest.fixture(scope="module")
def frames(model: Any, name: str) -> np.ndarray:
    return make(model, name)


def hooks(model: Any) -> Iterator[str]:
    """Names of everything that hangs on the model's modules."""
    for part in pipeline_of(model).components.values():
        for module in part.modules() if isinstance(part, torch.nn.Module) else ():
            if hasattr(module, "_hf_hook"):
                yield "accelerate's"
            yield from getattr(module, "_diffusers_hook", None).hooks if hasattr(module, "_diffusers_hook") else ()


def only(wanted: str) -> Any:
    return pytest.mark.parametrize("name", [wanted], indirect=True, scope="module")


@pytest.mark.parametrize("form", FORMS)
def test_the_frames_are_the_same_in_every_form_and_the_form_comes_off(model: Any, name: str, frames: np.ndarray, form: str) -> None:
    if reason := possible(model, FORMS[form]):
        assert name in ("studio", "stable-diffusion")
        assert reason.startswith("Its autoencoder ") or (name, form) == ("stable-diffusion", "blocks in turn")
        return
    with applied(model, FORMS[form]):
        if form == "blocks in turn":
            assert "group_offloading" in set(hooks(model))
        assert np.abs(make(model, name) - frames).max() < GREY_LEVEL
    assert set(hooks(model)) == set()
    assert not getattr(model.vae, "use_tiling", False)
    assert np.abs(make(model, name) - frames).max() < 1e-5


@pytest.mark.parametrize("name", ["wan, two experts", "ltx", "modelscope"], indirect=True, scope="module")
def test_in_8_bits_the_weights_are_smaller_the_frames_similar_and_then_all_is_whole_again(
    model: Any, name: str, frames: np.ndarray
) -> None:
    networks = denoisers(model)
    before = [{key: value.clone() for key, value in network.state_dict().items()} for network in networks]
    with applied(model, EIGHT_BITS):
        for network in networks:
            assert sum(p.dtype == torch.float8_e4m3fn for p in network.parameters()) > 3
            assert network.dtype == torch.float32
        rough = make(model, name)
    assert 0 < np.abs(rough - frames).mean() < 0.05
    for network, kept in zip(networks, before, strict=True):
        assert all(torch.equal(value, kept[key]) for key, value in network.state_dict().items())
    assert set(hooks(model)) == set()
    assert np.abs(make(model, name) - frames).max() < 1e-5


@only("wan, two experts")
@pytest.mark.parametrize("form", [*FORMS.values(), EIGHT_BITS], ids=lambda form: form.title)
def test_after_an_error_the_model_is_as_before(model: Any, name: str, frames: np.ndarray, form: Form) -> None:
    def fail() -> None:
        large = torch.zeros(2**20)
        raise RuntimeError(f"out of memory at {large.numel()}")

    with pytest.raises(RuntimeError, match="out of memory") as caught, applied(model, form):
        fail()
    innermost = caught.tb
    while innermost.tb_next:
        innermost = innermost.tb_next
    assert "large" not in innermost.tb_frame.f_locals  # what the job held is let go, before weights come back
    assert set(hooks(model)) == set()
    assert np.abs(make(model, name) - frames).max() < 1e-5


@only("ltx")
def test_a_lora_that_is_on_keeps_its_own_precision(model: Any, name: str) -> None:
    network = denoisers(model)[0]
    network.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
    whole, before = make(model, name), [parameter.clone() for parameter in network.parameters()]
    with applied(model, EIGHT_BITS):
        assert {p.dtype for key, p in network.named_parameters() if "lora_" in key} == {torch.float32}
        assert np.abs(make(model, name) - whole).mean() < 0.05
    assert all(torch.equal(*pair) for pair in zip(network.parameters(), before, strict=True))
    network.delete_adapters("default")


@only("studio")
def test_what_a_model_cannot_do_is_said(model: Any, name: str) -> None:
    assert possible(model, AS_IT_IS) == ""
    assert possible(model, FORMS["in tiles"]) == "Its autoencoder cannot decode in tiles."
    assert possible(model, Form("", "", 2)) == "It is loaded in 32 bits a number."
    assert "Tuned tensors" in possible(model, Form("", "", 4, 1))
    with pytest.raises(InvalidInput, match=r"cannot run with decoded in tiles\. Its autoencoder cannot"), applied(model, FORMS["in tiles"]):
        pass


def test_a_folder_s_forms_are_those_that_the_studio_estimates(tmp_path: Path) -> None:
    from pipelines.memory import Job, forms, model_of

    model = model_of(save("wan", tmp_path / "model"))
    assert {form.offload for form in forms(model, Job(16, 16, 5))} == {"none", "model", "group"}
