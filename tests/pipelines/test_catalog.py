"""The catalog of models is valid and says where it is not; directories and LoRAs are described without being loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.catalog import DescribedLora, DescribedModel, check_hub_id, describe, load_catalog, why_lora_does_not_fit
from pipelines.defaults import GenerationDefaults
from pipelines.errors import CatalogError, InvalidInput, UnsafeModel, WeightsDamaged, WeightsMissing
from tests.pipelines.directories import save

# Said by diffusers and transformers while a pipeline is imported or built.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

WANTED = {
    "stable-diffusion-1.5",
    "stable-diffusion-2.1",
    "animatediff-v1-5-3",
    "modelscope-1.7b",
    "zeroscope-576w",
    "i2vgen-xl",
    "svd",
    "svd-xt",
    "wan-2.1-t2v-1.3b",
    "wan-2.1-t2v-14b",
    "wan-2.1-i2v-14b-480p",
    "wan-2.2-t2v-a14b",
    "wan-2.2-ti2v-5b",
    "ltx-video-2b",
    "ltx-video-13b",
    "cogvideox-2b",
    "cogvideox-5b",
    "hunyuan-video-1.5-480p",
    "mochi-1",
    "sana-video-2b-480p",
    "kandinsky-5-t2v-lite",
}
ENTRY = 'title = "A"\nhub = "a/b"\nfamily = "wan"\nroles = ["prior"]\nlatent_group = "g"\n'


def catalog_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    return path


def test_the_catalog_knows_the_models_that_people_want() -> None:
    assert set(load_catalog()) >= WANTED


def test_an_entry_is_found_by_its_repository_and_by_what_it_can_be() -> None:
    catalog = load_catalog()
    wan = catalog["wan-2.1-t2v-1.3b"]
    assert catalog.of_hub("wan-ai/wan2.1-t2v-1.3b-diffusers") == wan
    assert catalog.of_hub("no/body") is None
    others = {"wan-2.1-t2v-14b", "wan-2.1-vace-1.3b", "wan-2.1-vace-14b", "sana-video-2b-480p"}
    assert {entry.name for entry in catalog.priors_for(wan)} == {wan.name, *others}
    assert all("one-shot" in entry.roles for entry in catalog.with_role("one-shot"))


def test_what_is_not_known_stays_the_model_s_own() -> None:
    own = GenerationDefaults(guidance_scale=1.5, fps=3.0, num_frames=5)
    settings = load_catalog()["svd"].settings(own)
    assert (settings.num_frames, settings.fps, settings.width) == (14, 7.0, 1024)
    assert load_catalog()["hunyuan-video"].settings(own) == own


def test_what_a_licence_allows_is_told_only_of_a_licence_that_is_named() -> None:
    catalog = load_catalog()
    assert all(entry.licence for entry in catalog.values() if entry.licence_note or entry.non_commercial is not None)
    assert {entry.non_commercial for entry in catalog.values() if "-NC" in (entry.licence or "")} == {True}


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"no model 'wan'.*svd-xt"):
        load_catalog()["wan"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a", "not readable as TOML"),
        ("a = 1\n", r"\[a\]: it is not a table"),
        (f"[a]\n{ENTRY}frames = -3\n", r"catalog.toml, \[a\], frames: .*greater than 0 \(it is -3\)"),
        (f"[a]\n{ENTRY}parameter = 3\n", r"\[a\], parameter: extra inputs"),
        ('[a]\ntitle = "A"\n', r"\[a\], hub: field required"),
        (f"[a]\n{ENTRY}".replace("wan", "won"), r"\[a\], family: there is no 'won'"),
        (f'[a]\n{ENTRY}base = "b"\n', r"\[a\], base: there is no entry 'b'"),
        (f"[a]\n{ENTRY}".replace("a/b", "a b"), r"\[a\], hub: .*\(it is 'a b'\)"),
        (f"[a]\n{ENTRY}".replace('"prior"', '"boss"'), r"\[a\], roles.0: input should be"),
    ],
)
def test_a_mistake_is_told_with_its_file_entry_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        load_catalog(catalog_of(tmp_path, text))


@pytest.mark.parametrize("given", ["a/b", " https://huggingface.co/a/b ", "https://hf.co/a/b/tree/main"])
def test_a_hub_id_is_taken_from_its_address(given: str) -> None:
    assert check_hub_id(given) == "a/b"


@pytest.mark.parametrize("given", ["a", "a/b/c", "../b", "a/..b", "https://example.com/a/b", "a b/c", ""])
def test_what_is_no_hub_id_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="no name of a model"):
        check_hub_id(given)


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> DescribedModel:
    described = describe(save("wan", tmp_path_factory.mktemp("wan") / "model"))
    assert isinstance(described, DescribedModel)
    return described


def lora(path: Path, width: int, rank: int = 4, key: str = "transformer.blocks.0.attn1.to_q.lora_A.weight") -> Path:
    up = key.replace("lora_A", "lora_B").replace("down", "up")
    save_file({key: torch.zeros(rank, width), up: torch.zeros(width, rank)}, path, metadata={"made": "here"})
    return path


def test_a_directory_is_described_from_its_headers(wan: DescribedModel) -> None:
    from tests.pipelines.families import wan as tiny

    assert wan.family == "wan"
    assert wan.parameters == sum(p.numel() for p in tiny().denoiser.parameters())
    assert wan.bytes > 4 * wan.parameters
    assert wan.autoencoder == ("AutoencoderKLWan", 16)
    assert wan.defaults.num_frames == 81


@pytest.mark.parametrize(
    "key", ["transformer.blocks.0.attn1.to_q.lora_A.weight", "lora_unet_a.lora_down.weight", "unet.a.to_q.lora.down.weight"]
)
def test_a_lora_of_any_trainer_is_described(tmp_path: Path, key: str) -> None:
    told = describe(lora(tmp_path / "a.safetensors", 24, key=key))
    assert isinstance(told, DescribedLora)
    assert (told.rank, told.layers, told.widths, told.metadata) == (4, 1, frozenset({24}), {"made": "here"})


def test_a_lora_for_another_base_is_told_from_its_widths(wan: DescribedModel, tmp_path: Path) -> None:
    fits, foreign = (describe(lora(tmp_path / f"{width}.safetensors", width)) for width in (24, 5120))
    assert isinstance(fits, DescribedLora)
    assert isinstance(foreign, DescribedLora)
    assert why_lora_does_not_fit(fits, wan) == ""
    assert "5120 inputs" in why_lora_does_not_fit(foreign, wan)


def test_what_is_no_lora_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsDamaged, match="holds no LoRA"):
        describe(tmp_path / "a.safetensors")
    (tmp_path / "b.pt").write_bytes(b"\x80")
    with pytest.raises(UnsafeModel, match="pickle"):
        describe(tmp_path / "b.pt")
    (tmp_path / "c.safetensors").write_bytes(b"not at all")
    with pytest.raises(WeightsDamaged, match="not a whole"):
        describe(tmp_path / "c.safetensors")
    with pytest.raises(WeightsMissing, match="no model"):
        describe(tmp_path / "nowhere")
