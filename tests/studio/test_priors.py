"""A model as the prior of another that is here: composed by the engine, on a wall, and what is refused before it is queued."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.errors import OutOfMemory, StudioError
from studio.composing import Prior, told
from studio.engine import Done, Engine, Failed, Step, Stopped
from studio.media import read_frames, read_metadata
from studio.priors import priors_of
from studio.requests import PRIOR_ALONE, Axis, ComparisonRequest, TextToVideoRequest
from studio.residency import ModelPool
from studio.settings import Settings
from tests.pipelines.directories import save
from tests.studio.models import events, text_request
from tests.studio.test_model_choice import lora

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
LORA = "look.safetensors"


def other_network(folder: Path, copy: Path, **changes: Any) -> Path:
    """The model with another random transformer: another one of its latent group."""
    from diffusers import WanTransformer3DModel

    shutil.copytree(folder, copy)
    torch.manual_seed(7)
    config = WanTransformer3DModel.load_config(folder / "transformer") | changes
    WanTransformer3DModel.from_config(config).save_pretrained(copy / "transformer")
    return copy


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Wan, a large one of its latents, one with another text encoder, one with another autoencoder, and other families."""
    root = tmp_path_factory.mktemp("folders")
    small = save("wan", root / "small")
    other_network(small, root / "large", num_layers=2)
    save("wan, two experts", root / "experts")
    save("wan, picture", root / "pictures")
    save("modelscope", root / "modelscope")
    from diffusers import AutoencoderKLWan
    from transformers import UMT5EncoderModel

    torch.manual_seed(8)
    worded = other_network(small, root / "worded")
    UMT5EncoderModel(UMT5EncoderModel.config_class.from_pretrained(small / "text_encoder")).save_pretrained(worded / "text_encoder")
    foreign = other_network(small, root / "foreign")
    AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(small / "vae")).save_pretrained(foreign / "vae")
    return root


@pytest.fixture(scope="module")
def studio(folders: Path, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    data = tmp_path_factory.mktemp("studio") / "outputs"
    engine = Engine(Settings(data_dir=data, model_dir=tiny_model, device="cpu", preview_every=0, warm_up=False))
    for folder in sorted(folders.iterdir()):
        engine.models.add(str(folder))
    engine.models.add_lora(lora(data.parent / LORA))
    engine.start()
    yield engine
    engine.close()


def request(studio: Engine, **changes: Any) -> TextToVideoRequest:
    given = {"prior_model": "large", "guidance_scale": 3.0, **changes}
    return text_request(studio, given.pop("model", "small"), "wan", **given)


def made(studio: Engine, asked: TextToVideoRequest) -> np.ndarray:
    done = events(studio, asked)[-1]
    assert isinstance(done, Done), done
    return read_frames(done.clips[0].path)


# -- What is made ---------------------------------------------------------------------------------------------------------


def test_a_prior_has_its_say_with_progress_previews_and_both_models_in_the_file(studio: Engine) -> None:
    *before, done = events(studio, request(studio, prior_strength=1.0))
    assert isinstance(done, Done), done
    assert any(event.preview for event in before if isinstance(event, Step))
    metadata = read_metadata(done.clips[0].path)
    assert (metadata["model"], metadata["prior"]) == ("small", "large")
    assert {name.split("/")[0] for name in metadata["weights"]} == {"prior", "transformer", "vae", "text_encoder"}
    assert studio.restore(done.clips[0].path) == done.clips[0].request
    assert (read_frames(done.clips[0].path) != made(studio, request(studio, prior_model=""))).any()


def test_strength_zero_is_the_model_alone_bit_for_bit_and_needs_no_prior(studio: Engine, folders: Path) -> None:
    alone = made(studio, request(studio, prior_model="", seed=5))
    studio.pool.clear()
    assert (made(studio, request(studio, prior_strength=0.0, seed=5)) == alone).all()
    assert [each.name for each in studio.resident()] == ["small"]


def test_a_model_whose_prior_is_its_twin_is_itself(studio: Engine, folders: Path) -> None:
    studio.models.add(str(shutil.copytree(folders / "small", folders / "twin")))
    twice = made(studio, request(studio, prior_model="twin", prior_strength=0.7)).astype(int)
    assert np.abs(twice - made(studio, request(studio, prior_model=""))).max() <= 2


def test_the_strongest_prior_is_nearly_the_prior_alone_in_its_own_words(studio: Engine) -> None:
    strong = made(studio, request(studio, prior_model="worded", prior_strength=10.0, guidance_scale=1.0)).astype(int)
    prior = made(studio, request(studio, model="worded", prior_model="", guidance_scale=1.0))
    alone = made(studio, request(studio, prior_model="", guidance_scale=1.0))
    assert np.abs(strong - prior).mean() < np.abs(strong - alone).mean() / 2


def test_a_prior_can_be_told_another_prompt(studio: Engine, folders: Path) -> None:
    asked, chosen = request(studio, prior_prompt="a blue star over the sea"), studio.chosen("small")
    with studio.pool.borrow_all(folders / "small", folders / "large") as (small, large):
        prior = Prior(studio.chosen("large"), large)
        same, other = (
            told(prior, small.pipe, each, chosen).inputs["encoder_hidden_states"]
            for each in (asked, asked.model_copy(update={"prior_prompt": ""}))
        )
    assert same.shape == other.shape
    assert not torch.equal(same, other)


def test_a_lora_is_the_adapter_of_its_own_base(studio: Engine) -> None:
    mixed = {
        gamma: made(studio, request(studio, prior_model="small", lora=LORA, prior_strength=gamma, guidance_scale=1.0)).astype(int)
        for gamma in (0.0, 0.5, 10.0)
    }
    base, with_lora = (made(studio, request(studio, prior_model="", lora=name, guidance_scale=1.0)) for name in ("", LORA))
    assert (mixed[0.0] == with_lora).all()
    assert np.abs(mixed[10.0] - base).mean() < np.abs(mixed[0.5] - base).mean() < np.abs(mixed[0.0] - base).mean()
    assert (made(studio, request(studio, prior_model="", guidance_scale=1.0)) == base).all()


def test_the_studio_s_own_model_takes_and_is_a_prior(studio: Engine, folders: Path, tiny_model: Path) -> None:
    studio.models.add(str(shutil.copytree(tiny_model, folders / "second")))
    own = TextToVideoRequest(prompt="a red ball", frames=4, steps=2)
    for asked in (own.model_copy(update={"prior_model": "second"}), own.model_copy(update={"model": "second", "prior_model": "tiny"})):
        assert np.abs(made(studio, asked).astype(int) - made(studio, own)).max() <= 4
    assert made(studio, own.model_copy(update={"prior_model": "second", "langevin_steps": 1})).shape[0] == 4


def test_it_stops_within_a_step(studio: Engine) -> None:
    job_id = studio.submit(request(studio, steps=60))
    next(event for event in studio.watch(job_id, timeout=60) if isinstance(event, Step))
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=60)
    assert isinstance(last, Stopped)


def test_a_wall_of_strengths_goes_from_the_model_alone_to_the_prior_alone(studio: Engine) -> None:
    wall = ComparisonRequest(base=request(studio, seed=9, lora=LORA), columns=Axis(field="prior_strength", values=(0, 0.5, 2, PRIOR_ALONE)))
    done = events(studio, wall)[-1]
    assert isinstance(done, Done), done
    cells = [cell.clip for _, cell in sorted(studio.wall(studio.recent_jobs("comparison")[0]).cells.items())]
    first, *_, last = (read_frames(clip.path) for clip in cells)
    assert [clip.request.model for clip in cells] == ["small", "small", "small", "large"]
    assert (first == made(studio, request(studio, prior_model="", seed=9, lora=LORA))).all()
    assert (last == made(studio, request(studio, model="large", prior_model="", seed=9))).all()
    again = [event for event in events(studio, wall) if isinstance(event, Step) and event.index < event.total]
    assert not again  # all is in the history


# -- What is refused before it is queued ----------------------------------------------------------------------------------


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prior_model": "nowhere"}, "There is no model 'nowhere' here. Choose another, or add it in the tab of models."),
    ({"prior_model": "small"}, "The prior 'small' was chosen for 'small'. A model is its own prior under a LoRA alone"),
    ({"prior_model": "experts"}, "The prior 'experts' was chosen for 'small'. 'experts' cannot be composed. Two networks share its steps"),
    ({"prior_model": "pictures"}, "The prior 'pictures' was chosen for 'small'. 'pictures' starts from a picture."),
    ({"prior_model": "foreign"}, "The prior 'foreign' was chosen for 'small'. Its autoencoder is another than that of 'small'"),
    ({"prior_model": "modelscope"}, "The prior 'modelscope' was chosen for 'small'. Its autoencoder is another than that of 'small'"),
    ({"tuned_model": "skier"}, "There is no tuned model 'skier'."),
    ({"model": "", "domain_model": "sketch"}, "The prior 'large' and the domain model 'sketch' were both chosen."),
    ({"langevin_steps": 2}, "2 Langevin steps were asked for 'small'. Its sampler remembers earlier steps"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_a_prior_that_does_not_fit_is_refused_with_the_reason(studio: Engine, changes: dict[str, Any], sentence: str) -> None:
    asked = request(studio).model_copy(update=changes)
    if not asked.model:
        asked = TextToVideoRequest(prompt="a", frames=4, steps=2, prior_model="large", domain_model="sketch")
    with pytest.raises(StudioError) as refusal:
        studio.submit(asked)
    assert str(refusal.value).startswith(sentence)


def test_only_models_that_fit_are_offered(studio: Engine) -> None:
    names = [name for _, name in priors_of(studio.chosen("small"), studio.bench.choosing)]
    assert {"small", "large", "worded"} <= set(names)
    assert not {"experts", "pictures", "foreign", "modelscope", ""} & set(names)


# -- Memory ---------------------------------------------------------------------------------------------------------------


def test_both_models_stay_and_drive_a_third_off(folders: Path) -> None:
    pool = ModelPool("cpu", available=lambda device, held: 2**40)
    small, large, third = (folders / name for name in ("small", "large", "modelscope"))
    with pool.borrow(third):
        pass
    pool.available = lambda device, held: 2**40 if len(pool.resident()) < 2 else 0
    with pool.borrow(small):
        pass
    with pool.borrow_all(small, large):
        assert [each.name for each in pool.resident()] == ["small", "large"]


def test_models_that_do_not_fit_together_are_refused_in_words(folders: Path) -> None:
    pool = ModelPool("cpu", available=lambda device, held: 0 if len(pool.resident()) else 2**40)
    with (
        pytest.raises(OutOfMemory, match="The models large and small do not fit on the device together"),
        pool.borrow_all(folders / "small", folders / "large"),
    ):
        pass


def test_a_job_that_does_not_fit_fails_in_words_and_the_queue_goes_on(studio: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.pool.clear()
    with monkeypatch.context() as patch:
        patch.setattr(studio.pool, "available", lambda device, held: 0 if len(studio.pool.resident()) else 2**40)
        failed = events(studio, request(studio))[-1]
    assert isinstance(failed, Failed)
    assert "do not fit on the device together" in failed.error
    assert isinstance(events(studio, request(studio))[-1], Done)
