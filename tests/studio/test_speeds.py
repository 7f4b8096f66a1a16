"""What makes a model faster, from the list of models to the clip: kept, put on once, taken off, loaded again only for a precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput, JobError, StorageError
from pipelines.memory import Job
from studio import media
from studio.engine import Done, Engine
from studio.model_here import ModelHere
from studio.residency import ModelPool
from studio.speeds import Speeds, check_mixed, told
from tests.pipelines.directories import save
from tests.studio.models import events, text_request

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
CACHE = {"cache": "first-block", "threshold": 0.0}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Wan with three blocks: a cache by blocks wants more than one."""
    import torch
    from diffusers import WanTransformer3DModel

    folder = save("wan", tmp_path_factory.mktemp("speeds") / "deep")
    torch.manual_seed(5)
    config = {**WanTransformer3DModel.load_config(folder / "transformer"), "num_layers": 3}
    WanTransformer3DModel.from_config(config).save_pretrained(folder / "transformer")
    return folder


@pytest.fixture
def wan(engine: Engine, deep: Path) -> ModelHere:
    added = engine.models.add(str(deep))
    assert added
    return added


def clip(engine: Engine, model: ModelHere) -> Path:
    *_, last = events(engine, text_request(engine, model.path.name, "wan"))
    assert isinstance(last, Done), last
    return last.clips[-1].path


def test_a_cache_at_threshold_0_changes_nothing_is_told_in_the_file_and_comes_off(engine: Engine, wan: ModelHere) -> None:
    plain = media.read_frames(clip(engine, wan))
    engine.models.set_speed(wan.name, CACHE)
    cached = clip(engine, wan)
    assert (media.read_frames(cached) == plain).all()
    assert media.read_metadata(cached)["weights"]["speed"] == "cache first-block at 0"
    with engine.pool.borrow(wan.path) as resident:
        assert resident.pipe.denoiser.is_cache_enabled
    engine.models.set_speed(wan.name, {})
    assert "speed" not in media.read_metadata(clip(engine, wan))["weights"]
    with engine.pool.borrow(wan.path) as resident:
        assert not resident.pipe.denoiser.is_cache_enabled
    assert engine.pool.loads == 1


def test_another_precision_loads_once_more_and_the_one_before_too(engine: Engine, wan: ModelHere) -> None:
    for loads, precision in enumerate(("", "bfloat16", ""), start=1):
        engine.models.set_speed(wan.name, {"precision": precision})
        for _ in range(2):
            with engine.pool.borrow(wan.path) as resident:
                assert str(resident.pipe.denoiser.dtype) == f"torch.{precision or 'float32'}"
        assert engine.pool.loads == loads


def test_weights_in_8_bits_weigh_less_and_refuse_a_lora(engine: Engine, wan: ModelHere, tmp_path: Path) -> None:
    from tests.studio.test_models import lora

    with engine.pool.borrow(wan.path) as resident:
        whole = resident.model.bytes
    engine.models.set_speed(wan.name, {"weights": "fp8"})
    with engine.pool.borrow(wan.path) as resident:
        assert resident.model.bytes < whole
    engine.models.add_lora(lora(tmp_path / "look.safetensors"))
    with pytest.raises(InvalidInput, match=r"kept in 8 bits \(fp8\).*leave the LoRA out"):
        engine.submit(text_request(engine, wan.path.name, "wan", lora="look.safetensors"))


def test_a_model_with_a_cache_is_no_prior(engine: Engine, wan: ModelHere) -> None:
    engine.models.set_speed(wan.name, CACHE)
    own = engine.settings.model_dir
    with pytest.raises(InvalidInput, match="cannot follow the steps of another"), engine.pool.borrow_all(own, wan.path):
        pass


def test_what_waits_beside_the_device_is_not_mixed_and_a_cache_does_not_follow_the_model_without_its_lora() -> None:
    with pytest.raises(InvalidInput, match=r"'a' cannot be mixed.*beside the device \(blocks in turn\).*Switch that off"):
        check_mixed(["a", "b"], [{"offload": "group"}, {}])
    with pytest.raises(InvalidInput, match="step cache"):
        check_mixed(["a", "a"], [CACHE, CACHE])
    check_mixed(["a", "b"], [CACHE, {"compiled": True}])


def test_decoding_in_tiles_is_each_job_s_told_in_its_file_and_slicing_is_not(engine: Engine, wan: ModelHere) -> None:
    engine.models.set_speed(wan.name, {"tiled": True, "sliced": True})
    assert media.read_metadata(clip(engine, wan))["weights"]["speed"] == "decoded in tiles"
    with engine.pool.borrow(wan.path) as resident:
        assert not resident.pipe.vae.use_tiling  # another model may share it
        forms = engine.pool.room(resident, wan.path, Job(16, 16, 5)).forms
    assert all(form.tiled and form.sliced for form in forms)


def test_weights_in_8_bits_are_estimated_as_they_are(engine: Engine, wan: ModelHere) -> None:
    engine.models.set_speed(wan.name, {"weights": "fp8"})
    with engine.pool.borrow(wan.path) as resident:
        assert 1 < resident.form.held < 4
        assert "8-bit weights" not in [form.title for form in engine.pool.room(resident, wan.path, Job(16, 16, 5)).forms]


def test_what_is_offloaded_waits_beside_the_device_until_it_is_not(deep: Path, tmp_path: Path) -> None:
    import torch

    from pipelines import families

    speeds = Speeds(tmp_path)
    pool = ModelPool("meta", lambda path, device: families.load(path, "cpu"), lambda device, held: 2**40, lambda: 2**40, speeds)
    pool._places.device = "meta"  # nothing is computed: there need not be a GPU
    speeds.put(deep, {"offload": "model"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("studio.residency.resolve_device", lambda device: "meta")
        with pool.borrow(deep) as resident:
            assert resident.model.waiting
            assert resident.pipe.denoiser.device == torch.device("cpu")
        speeds.put(deep, {})
        with pool.borrow(deep) as resident:
            assert not resident.model.waiting
    assert pool.loads == 2


def test_a_switch_that_the_model_cannot_have_is_refused_with_its_reason_and_not_kept(engine: Engine, wan: ModelHere) -> None:
    with pytest.raises(InvalidInput, match=r"cannot run with the cache 'mag'.*have not been measured"):
        engine.models.set_speed(wan.name, {"cache": "mag"})
    with pytest.raises(InvalidInput, match="take bfloat16"):
        engine.models.set_speed(wan.name, {"precision": "float16"})
    with pytest.raises(InvalidInput, match="not a row of transformer blocks"):
        engine.models.set_speed(str(engine.settings.model_dir), CACHE)
    assert engine.models.speeds.values(wan.path) == {}


def test_where_models_are_fixed_so_is_their_speed(engine: Engine, wan: ModelHere) -> None:
    engine.models.settings = engine.settings.model_copy(update={"models": "fixed"})
    with pytest.raises(JobError, match="host's choice"):
        engine.models.set_speed(wan.name, {"compiled": True})


def test_only_what_is_not_plain_is_kept_and_found_again(tmp_path: Path) -> None:
    Speeds(tmp_path).put(tmp_path / "model", {"cache": "mag", "threshold": 0.1, "ratios": (0.9, 0.8), "attention": ""})
    kept = Speeds(tmp_path)
    assert kept.of(tmp_path / "model").ratios == (0.9, 0.8)
    assert set(kept.values(tmp_path / "model")) == {"cache", "threshold", "ratios"}
    assert kept.values(tmp_path / "other") == {}
    with pytest.raises(InvalidInput, match="'int4'"):
        kept.put(tmp_path / "model", {"weights": "int4"})


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "speeds.json").write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=r"speeds\.json' is not readable\. Delete it"):
        Speeds(tmp_path).values(tmp_path)


def test_all_switches_are_told_in_words() -> None:
    from pipelines.speed import Speed

    speed = Speed(precision="bfloat16", weights="fp8", attention="native", cache="taylor", compiled=True, tiled=True, offload="group")
    said = "bfloat16, weights fp8, attention native, cache taylor at 0.05, compiled, decoded in tiles, blocks in turn"
    assert told(dataclasses.asdict(speed)) == said
    assert told({}) == ""
