"""A motion module and a model that it moves are offered as one model while both are here; with one missing, the other says what to get."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.catalog import describe, load_catalog
from pipelines.errors import InvalidInput, JobError
from studio.engine import Done, Engine
from studio.model_files import Plan, RemoteFile, write_note
from studio.model_here import ModelHere
from studio.pairs import fits
from studio.tabs import pair_views
from tests.pipelines.directories import movable, save
from tests.studio.models import events, text_request
from tests.studio.test_models import lora

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
PAIR = "motion on base"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a motion module alone, a tiny Stable Diffusion with as many channels)."""
    folder = tmp_path_factory.mktemp("pair")
    module = shutil.copytree(save("animatediff", folder / "animated") / "motion_adapter", folder / "motion")
    return Path(module), movable(folder / "base")


@pytest.fixture
def both(engine: Engine, folders: tuple[Path, Path]) -> tuple[Path, Path]:
    for folder in folders:
        engine.models.add(str(folder))
    return folders


def pair_of(engine: Engine) -> ModelHere:
    return next(one for one in engine.models.here() if one.pair)


def test_both_are_one_model_that_makes_a_clip(engine: Engine, both: tuple[Path, Path]) -> None:
    assert PAIR in [name for _, name in engine.bench.choosing.models_here()]
    chosen = engine.chosen(PAIR)
    assert (chosen.family, chosen.title, chosen.capabilities.can("lora")) == ("animatediff", PAIR, True)
    *_, last = events(engine, text_request(engine, PAIR, "animatediff"))
    assert isinstance(last, Done), last
    assert last.clips[0].width == 16


def test_nothing_is_copied_and_nothing_is_made_anew_while_nothing_changes(engine: Engine, both: tuple[Path, Path]) -> None:
    folder = pair_of(engine).path
    weights = list(folder.rglob("*.safetensors"))
    assert len(weights) == 4
    assert all(file.is_symlink() for file in weights)
    assert json.loads((folder / "scheduler" / "scheduler_config.json").read_text())["beta_schedule"] == "linear"
    changed = (folder / "model_index.json").stat().st_mtime_ns
    assert pair_of(engine).path == folder
    assert (folder / "model_index.json").stat().st_mtime_ns == changed


def test_where_one_is_gone_so_is_the_pair(engine: Engine, both: tuple[Path, Path]) -> None:
    folder = pair_of(engine).path
    with pytest.raises(JobError, match="Delete one of the two"):
        engine.models.remove(str(folder))
    engine.models.remove(str(both[1]))
    assert not any(one.pair for one in engine.models.here())
    assert not folder.exists()
    with pytest.raises(InvalidInput, match="a motion module alone"):
        engine.chosen("motion")


def test_where_links_cannot_be_made_the_pair_says_so_and_the_rest_is_shown(
    engine: Engine, both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(engine.settings.data_dir / "pairs", ignore_errors=True)

    def fail(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", fail)
    assert "cannot be laid together" in pair_of(engine).problem
    assert {one.path for one in engine.models.here()} >= set(both)


def test_a_model_of_another_width_or_of_the_second_generation_is_not_moved(folders: tuple[Path, Path], tmp_path: Path) -> None:
    module, base = folders
    assert fits(module, base)
    assert not fits(module, save("stable-diffusion", tmp_path / "wide"))
    second = Path(shutil.copytree(base, tmp_path / "second"))
    config = second / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"cross_attention_dim": 1024}))
    assert not fits(module, second)


def test_a_lora_that_lies_beside_its_module_is_listed_and_not_counted_as_part_of_it(
    engine: Engine, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = engine.models.store.folder_of("wangfuyun/AnimateLCM")
    shutil.copytree(folders[0], folder)
    alone = describe(folder)
    entry = engine.models.loras["animatelcm"]
    lora(folder / entry.file)
    files = tuple(RemoteFile(file.name, file.stat().st_size) for file in folder.iterdir())
    write_note(folder, Plan("wangfuyun/AnimateLCM", "main", "1", files))
    module, beside = [one for one in engine.models.here() if one.stored]
    assert (module.title, module.alone, module.about) == ("AnimateLCM", True, alone)
    assert (beside.file, engine.models.advice(beside)) == (entry.file, entry.advice)


def test_the_cards_of_both_name_the_pair_and_of_one_say_what_to_get(engine: Engine, both: tuple[Path, Path]) -> None:
    here, catalog = engine.models.here(), load_catalog()
    said = pair_views.lacking(here, catalog, [], True)
    assert said[str(both[0])] == f'<p class="line">With the model that it moves, at the top of the page: {PAIR}.</p>'
    assert said[str(both[1])] == f'<p class="line">With a motion module, at the top of the page: {PAIR}.</p>'
    module = [one for one in here if one.path == both[0]]
    card = pair_views.lacking(module, catalog, [], True)[str(both[0])]
    assert "none that fits is here" in card
    assert 'data-do="download" data-model="stable-diffusion-1.5"' in card
    assert "on its way" in pair_views.lacking(module, catalog, [catalog["stable-diffusion-1.5"].hub], True)[str(both[0])]
    base = ModelHere(both[1], "SD", "hub", 1, about=engine.models._describe(both[1]), entry=catalog["stable-diffusion-1.5"])  # type: ignore[arg-type]
    assert 'data-model="animatediff-v1-5-3"' in pair_views.lacking([base], catalog, [], True)[str(both[1])]
