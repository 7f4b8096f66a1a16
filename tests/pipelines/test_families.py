"""A tiny random directory of every family is loaded, makes videos under the common call, and says what it cannot do."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines import families
from pipelines.errors import InvalidInput, UnknownFamily, UnsafeModel, UnsupportedFrames, WeightsDamaged, WeightsMissing
from pipelines.families.video_model import VideoModel
from pipelines.noise import NoisePrior
from tests.pipelines.directories import LAYOUTS, save, saved

# Said by diffusers and transformers while such a pipeline is imported, built or run.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))


@pytest.fixture(params=LAYOUTS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folder(name: str) -> Path:
    return saved(name)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    loaded = families.load(folder)
    loaded.set_progress_bar_config(disable=True)
    if isinstance(loaded, VideoModel) and loaded.family.name == "hunyuan-video-1.5":
        loaded.pipe.tokenizer_max_length, loaded.pipe.vision_num_semantic_tokens = 8, 4  # 1737 tokens take long
    return loaded


def make(model: Any, name: str, seed: int = 0, **options: Any) -> Any:
    """Two steps of the family's smallest order."""
    layout = LAYOUTS[name]
    picture = {"image": PICTURE} if layout.picture else {}
    common = {"num_inference_steps": 2, "guidance_scale": 3.0, "generator": torch.Generator().manual_seed(seed)}
    return model("a red ball", **{**layout.order, **picture, **common, **options}).frames


@dataclass
class Made:
    """A video with seed 0, and what was told of its steps."""

    frames: np.ndarray
    steps: list[int]
    told: list[dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def made(model: Any, name: str) -> Made:
    steps: list[int] = []
    told: list[dict[str, torch.Tensor]] = []

    def listen(_: Any, step: int, timestep: int, tensors: dict[str, torch.Tensor]) -> None:
        steps.append(step)
        told.append(tensors)

    frames = make(model, name, callback_on_step_end=listen, callback_on_step_end_tensor_inputs=["latents", "denoised"])
    return Made(frames, steps, told)


def only(*wanted: str) -> Any:
    """The fixtures of a few families alone."""
    return pytest.mark.parametrize("name", wanted, indirect=True, scope="module")


def test_it_makes_frames_of_the_shape_asked_for(made: Made, name: str) -> None:
    order = LAYOUTS[name].order
    assert made.frames.shape == (1, order["num_frames"], order.get("height", 16), order.get("width", 16), 3)
    assert made.frames.dtype == np.float32
    assert np.isfinite(made.frames).all()
    assert made.frames.min() >= 0
    assert made.frames.max() <= 1


def test_its_family_is_found_and_its_defaults_are_possible(folder: Path, name: str) -> None:
    assert families.family_of(families.read_directory(folder)).name == name.partition(",")[0]
    can, own = families.capabilities(folder), families.defaults(folder)
    can.frames.check(own.num_frames)
    assert own.width % can.size_unit == own.height % can.size_unit == 0 or not can.can("size")
    assert (own.min_frames, own.max_frames) == (can.frames.least, can.frames.most)
    assert can.picture == ("needed" if LAYOUTS[name].picture else can.picture)
    assert all(reason.endswith(".") for reason in can.cannot.values())


def test_every_step_is_told_with_clean_latents_that_end_where_the_latents_end(made: Made) -> None:
    assert made.steps == [0, 1]
    first, last = made.told
    assert first["denoised"].shape == first["latents"].shape
    assert torch.allclose(last["denoised"].float(), last["latents"].float(), atol=2e-2, rtol=2e-2)


def test_a_seed_reproduces_its_latents_watched_or_not_and_they_decode_to_its_frames(model: Any, name: str, made: Made) -> None:
    latents = make(model, name, output_type="latent")
    told = made.told[-1]["latents"]
    last = min(told.shape[2], latents.shape[2] - LAYOUTS[name].evened)
    assert torch.equal(latents[:, :, -last:], told[:, :, -last:])
    if isinstance(model, VideoModel):  # the others decode with one method, which takes their own precision
        assert np.abs(model.decode_latents(latents) - made.frames).max() < 1e-4
        assert model.preview(latents).shape[1] <= latents.shape[2]


def test_another_seed_or_a_correlated_noise_prior_gives_another_video(model: Any, name: str, made: Made) -> None:
    drawn = isinstance(model, VideoModel) and not model.capabilities.can("noise_prior")
    for options in ({"seed": 1},) if drawn else ({"seed": 1}, {"noise_prior": NoisePrior("mixed", 3.0)}):
        latents = make(model, name, output_type="latent", num_inference_steps=2 if name == "mochi" else 1, **options)
        assert latents.isfinite().all()
        assert not torch.allclose(latents[:, :, -1], made.told[-1]["latents"][:, :, -1])


def test_it_stops_in_the_middle_with_what_is_there(model: Any, name: str) -> None:
    steps = []

    def stop(pipe: Any, step: int, *_: Any) -> None:
        steps.append(step)
        pipe._interrupt = True

    latents = make(model, name, num_inference_steps=4, callback_on_step_end=stop, output_type="latent")
    assert steps == [0]
    assert torch.isfinite(latents).all()


def test_a_pickle_in_the_place_of_safetensors_is_refused(folder: Path, name: str, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    part = next(copy / part for part in ("unet", "transformer") if (copy / part).is_dir())
    weights = next(part.glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UnsafeModel, match="is a pickle"):
        families.load(copy)


# -- what one family stands for -------------------------------------------------------------------------------------------


@only("wan")
def test_a_number_of_frames_that_cannot_be_made_is_refused_with_the_nearest(model: VideoModel, name: str) -> None:
    with pytest.raises(UnsupportedFrames, match="makes is 5"):
        make(model, name, num_frames=6)
    with pytest.raises(UnsupportedFrames, match="1 to 161"):
        make(model, name, num_frames=500)


@only("wan")
def test_what_it_cannot_do_is_refused_with_the_reason(model: VideoModel, name: str) -> None:
    with pytest.raises(InvalidInput, match="sampled the way it was trained for"):
        make(model, name, sampler="ddim")
    with pytest.raises(InvalidInput, match="takes no picture"):
        make(model, name, image=PICTURE)
    with pytest.raises(InvalidInput, match="multiples of 16"):
        make(model, name, width=24)
    with pytest.raises(InvalidInput, match="0 steps"):
        make(model, name, num_inference_steps=0)


@only("wan, picture")
def test_a_model_that_starts_from_a_picture_asks_for_one(model: VideoModel, name: str) -> None:
    with pytest.raises(InvalidInput, match="none was given"):
        make(model, name, image=None)


@only("mochi")
def test_a_model_whose_first_half_of_steps_are_small_refuses_a_single_one(model: VideoModel, name: str) -> None:
    with pytest.raises(InvalidInput, match="Give 2 or more"):
        make(model, name, num_inference_steps=1)


@only("kandinsky-5, picture")
def test_what_its_pipeline_draws_itself_cannot_be_correlated(model: VideoModel, name: str) -> None:
    with pytest.raises(InvalidInput, match="around the given picture"):
        make(model, name, noise_prior=NoisePrior("mixed", 1.0))


@only("wan-vace")
def test_a_first_frame_is_a_clip_to_be_filled_in(model: VideoModel, name: str) -> None:
    order = model._order("a red ball", None, PICTURE, 16, 16, 5, None, 2, 3.0, None)
    given = model.family.inputs(model.pipe, order)
    assert given["video"][0] == order.picture
    assert [picture.getextrema() for picture in given["mask"]] == [(0, 0), *[(255, 255)] * 4]
    with pytest.raises(InvalidInput, match="one at a time"):
        model(["a red ball", "a blue star"], num_frames=5, width=16, height=16)


@only("wan, text or picture", "wan-vace", "sana-video", "ltx", "ltx-2")
def test_a_model_that_does_both_takes_a_picture_if_there_is_one(model: VideoModel, name: str, made: Made) -> None:
    given = make(model, name, image=PICTURE)
    assert given.shape == made.frames.shape
    assert not np.array_equal(given, made.frames)


@only("wan, picture", "skyreels-v2", "skyreels-v2, picture")
def test_texts_that_are_encoded_here_are_as_long_as_the_pipeline_s_own(model: VideoModel, name: str) -> None:
    order = model._order("a red ball", None, PICTURE if LAYOUTS[name].picture else None, 16, 16, 5, None, 2, 3.0, None)
    assert model.family.inputs(model.pipe, order)["prompt_embeds"].shape[1] == 512


@only("ltx")
def test_a_noise_prior_is_refused_where_the_pipeline_draws_its_own(model: VideoModel, name: str) -> None:
    with pytest.raises(InvalidInput, match="draws the noise itself"):
        make(model, name, noise_prior=NoisePrior("mixed", 1.0), image=PICTURE)


@only("wan")
def test_a_composition_stands_in_its_denoiser_s_place_and_leaves_it(model: VideoModel, name: str, made: Made) -> None:
    from pipelines.composition import ComposedDenoiser

    own = model.denoiser
    with model.replaced(ComposedDenoiser(own, own, 0.7)):
        composed = make(model, name)
    assert model.denoiser is own
    assert np.abs(composed - made.frames).max() < 1e-4


@only("wan, two experts")
def test_where_a_composition_cannot_stand_the_reason_is_said(model: VideoModel) -> None:
    with pytest.raises(InvalidInput, match="Two networks"), model.replaced(model.denoiser):
        pass


@only("animatediff")
def test_a_sampler_of_the_studio_is_used_for_one_video(model: VideoModel, name: str) -> None:
    own = model.scheduler
    assert np.isfinite(make(model, name, sampler="dpm++")).all()
    assert model.scheduler is own
    with pytest.raises(InvalidInput, match="injects noise"):
        make(model, name, sampler="ddpm")
    assert np.array_equal(*(make(model, name, sampler="lcm") for _ in range(2)))
    with pytest.raises(InvalidInput, match="injects noise"):
        make(model, name, sampler="lcm", noise_prior=NoisePrior("mixed", 1.0))
    with pytest.raises(InvalidInput, match=r"51 steps were asked for with the sampler 'lcm'\. It makes 50 at most"):
        make(model, name, sampler="lcm", num_inference_steps=51)


@only("animatediff")
def test_a_motion_module_alone_takes_its_base_s_parts(folder: Path, model: VideoModel, name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="a motion module alone"):
        families.load(folder / "motion_adapter")
    from tests.pipelines.families import image_vae
    from tests.tiny import tiny_image_unet

    unet = tiny_image_unet(block_out_channels=(8, 8), cross_attention_dim=8, norm_num_groups=2, attention_head_dim=4)
    base = {**{part: model.components[part] for part in ("text_encoder", "tokenizer", "scheduler")}, "unet": unet, "vae": image_vae()}
    whole = families.load(folder / "motion_adapter", components=base)
    whole.set_progress_bar_config(disable=True)
    assert make(whole, name).shape == (1, 3, 16, 16, 3)


@only("hunyuan-video")
def test_a_negative_prompt_is_refused_where_guidance_is_distilled(model: VideoModel, name: str) -> None:
    with pytest.raises(InvalidInput, match="distilled"):
        make(model, name, negative_prompt="blurry")


@only("wan")
def test_resident_parts_are_shared_not_loaded(folder: Path, model: VideoModel) -> None:
    shared = {part: model.components[part] for part in ("text_encoder", "vae")}
    again = families.load(folder, components=shared)
    assert all(again.components[part] is shared[part] for part in shared)


# -- directories that are refused -----------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("wan", tmp_path_factory.mktemp("copy") / "model")


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_pipeline_of_its_own_is_not_run(copy: Path) -> None:
    change(copy / "model_index.json", _class_name=["pipeline", "MyPipeline"])
    with pytest.raises(UnsafeModel, match="a pipeline of its own"):
        families.check_safe(families.read_directory(copy))


def test_a_part_of_a_foreign_module_is_not_imported(copy: Path) -> None:
    change(copy / "model_index.json", text_encoder=["os", "system"])
    with pytest.raises(UnsafeModel, match="'os'"):
        families.load(copy)


def test_a_configuration_that_asks_for_remote_code_is_refused(copy: Path) -> None:
    change(copy / "text_encoder" / "config.json", auto_map={"AutoModel": "modeling.MyModel"})
    with pytest.raises(UnsafeModel, match="asks to run code"):
        families.load(copy)


def test_a_kind_that_nobody_knows_is_named(copy: Path) -> None:
    change(copy / "model_index.json", _class_name="FluxPipeline")
    with pytest.raises(UnknownFamily, match="FluxPipeline"):
        families.capabilities(copy)


def test_a_missing_shard_is_named(copy: Path) -> None:
    index = copy / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "diffusion_pytorch_model-00002-of-00002.safetensors"}}))
    with pytest.raises(WeightsMissing, match="00002-of-00002"):
        families.load(copy)


def test_a_cut_off_file_is_named(copy: Path) -> None:
    weights = next((copy / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(WeightsDamaged, match="transformer"):
        families.load(copy)


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    change(copy / "transformer" / "config.json", num_attention_heads=3)
    with pytest.raises(WeightsDamaged, match="cannot be loaded"):
        families.load(copy)


def test_families_are_described_without_torch() -> None:
    import subprocess
    import sys

    check = "import sys, pipelines.families; print(*{'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "\n"
