"""The shelf of models: what is here is described, what is unsafe or unknown is refused, downloads run beside the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from pipelines.catalog import DescribedLora, DescribedModel
from pipelines.errors import InvalidInput, JobError, UnknownFamily, UnsafeModel, WeightsDamaged, WeightsMissing
from studio.downloads import ModelStore
from studio.engine import Engine
from studio.models import Models
from studio.settings import Settings
from tests.pipelines.directories import save
from tests.studio.hub import Hub, served

WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("wan", tmp_path_factory.mktemp("wan") / "model")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, wan: Path) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    with served() as hub:
        hub.repositories[WAN] = {path.relative_to(wan).as_posix(): path.read_bytes() for path in wan.rglob("*") if path.is_file()}
        yield hub


@pytest.fixture
def models(settings: Settings, hub: Hub) -> Iterator[Models]:
    engine = Engine(settings)
    engine.models.store = ModelStore(settings.data_dir / "models", endpoint=hub.address)
    yield engine.models
    engine.close()


def lora(path: Path, width: int = 24) -> Path:
    down, up = torch.zeros(4, width), torch.zeros(width, 4)
    save_file({"transformer.blocks.0.attn1.to_q.lora_A.weight": down, "transformer.blocks.0.attn1.to_q.lora_B.weight": up}, path)
    return path


def downloaded(models: Models, text: str, hub: str = "") -> None:
    models.add(text)
    models.fetching.wait(hub or text, timeout=60)


@pytest.mark.parametrize(
    "change", [lambda m: m.download("ltx-video-2b"), lambda m: m.add("."), lambda m: m.add_lora("a"), lambda m: m.remove("a")]
)
def test_where_strangers_come_the_page_changes_no_models(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, change: Callable[[Models], object]
) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/studio")
    engine = Engine(settings)
    with pytest.raises(JobError, match="host's choice"):
        change(engine.models)
    engine.close()


@pytest.mark.parametrize(
    ("models", "share", "space", "changed"),
    [
        ("auto", False, False, True),
        ("auto", True, False, False),
        ("auto", False, True, False),
        ("open", True, True, True),
        ("fixed", False, False, False),
    ],
)
def test_who_may_change_models_is_told_or_follows_from_who_comes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, models: str, share: bool, space: bool, changed: bool
) -> None:
    if space:
        monkeypatch.setenv("SPACE_ID", "somebody/studio")
    assert settings.model_copy(update={"models": models, "share": share}).models_open is changed


def test_the_studios_model_is_here_with_what_it_can_do(models: Models, settings: Settings) -> None:
    (own,) = models.here()
    assert (own.path, own.origin, own.problem) == (settings.model_dir, "studio", "")
    assert isinstance(own.about, DescribedModel)
    assert own.about.capabilities.cannot["lora"]


def test_a_download_from_the_catalog_is_listed_with_its_entry(models: Models) -> None:
    models.download("wan-2.1-t2v-1.3b")
    models.fetching.wait(WAN, timeout=60)
    assert models.fetching.fetches() == []
    _, model = models.here()
    assert (model.title, model.entry) == ("Wan 2.1 T2V 1.3B", models.catalog["wan-2.1-t2v-1.3b"])
    assert isinstance(model.about, DescribedModel)


def test_a_failed_download_keeps_its_sentence_until_it_is_put_away(models: Models, hub: Hub) -> None:
    hub.errors["a/gated"] = (403, "GatedRepo")
    downloaded(models, "a/gated")
    (fetch,) = models.fetching.fetches()
    assert "ask for consent" in fetch.error
    models.fetching.cancel("a/gated")
    assert models.fetching.fetches() == []


def test_a_failed_download_goes_on_when_the_hub_is_back(models: Models, hub: Hub) -> None:
    hub.errors[WAN] = (503, "")
    downloaded(models, WAN)
    hub.errors.clear()
    models.fetching.again(WAN)
    models.fetching.wait(WAN, timeout=60)
    assert [one.title for one in models.here()][1:] == ["Wan 2.1 T2V 1.3B"]


def test_a_cancelled_download_stays_half_here_and_goes_on(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.fetching.Fetching._download", lambda *a: a[0]._store().download(a[1], stop=stopped()))
    downloaded(models, WAN)
    monkeypatch.undo()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    half = models.here()[1]
    assert half.bytes < half.total
    models.resume(half.name)
    models.fetching.wait(WAN, timeout=60)
    assert models.here()[1].total == 0


def stopped() -> object:
    """An event that is set from the third look on, in the middle of the files."""
    import threading

    class Third(threading.Event):
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 3

    return Third()


def test_what_nobody_here_can_run_is_told_and_leaves_nothing(models: Models, hub: Hub) -> None:
    hub.repositories["a/music"] = {"model_index.json": b'{"_class_name": "MusicPipeline"}'}
    downloaded(models, "a/music")
    assert "MusicPipeline" in models.fetching.fetches()[0].error
    assert len(models.here()) == 1


def test_one_file_of_a_repository_is_a_lora(models: Models, hub: Hub, tmp_path: Path) -> None:
    hub.repositories["a/look"] = {"look.safetensors": lora(tmp_path / "look.safetensors").read_bytes()}
    downloaded(models, "https://huggingface.co/a/look/blob/main/look.safetensors", "a/look")
    one = models.here()[1]
    assert (one.title, isinstance(one.about, DescribedLora)) == ("look of a/look", True)
    assert models.remove(one.name) > 0


def test_an_own_directory_is_read_where_it_lies_and_only_taken_off_the_list(models: Models, wan: Path) -> None:
    added = models.add(str(wan))
    assert added is not None
    assert (added.origin, [one.path for one in models.here()][1:]) == ("folder", [wan])
    with pytest.raises(JobError, match="in the list already"):
        models.add(str(wan))
    assert models.remove(added.name) == 0
    assert (wan / "model_index.json").exists()
    assert len(models.here()) == 1


def test_an_own_model_that_went_away_is_said_to_be(models: Models, tmp_path: Path) -> None:
    path = lora(tmp_path / "look.safetensors")
    models.add(str(path))
    path.unlink()
    assert "no model in" in models.here()[1].problem


def test_an_uploaded_lora_is_kept_and_told_which_models_it_fits(models: Models, wan: Path, tmp_path: Path) -> None:
    models.add(str(wan))
    foreign = models.add_lora(lora(tmp_path / "foreign.safetensors", 999))
    assert isinstance(foreign.about, DescribedLora)
    assert "999 inputs" in models.fits(foreign.about)["model"]
    with pytest.raises(JobError, match="here already"):
        models.add_lora(tmp_path / "foreign.safetensors")
    assert models.remove(foreign.name) == foreign.bytes


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("model_index.json", '{"_class_name": "MusicPipeline"}', UnknownFamily),
        ("model_index.json", '{"_class_name": ["evil", "Pipe"]}', UnknownFamily),
        ("model_index.json", '{"_class_name": "WanPipeline", "vae": ["evil_module", "Vae"]}', UnsafeModel),
        ("look.ckpt", "a pickle", WeightsMissing),
    ],
)
def test_a_directory_that_is_unsafe_or_unknown_is_refused(
    models: Models, tmp_path: Path, name: str, content: str, error: type[Exception]
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / name).write_text(content)
    with pytest.raises(error):
        models.add(str(folder))
    assert len(models.here()) == 1


def test_a_file_that_is_no_lora_is_refused(models: Models, tmp_path: Path) -> None:
    (tmp_path / "look.ckpt").write_bytes(b"\x80")
    with pytest.raises(UnsafeModel):
        models.add(str(tmp_path / "look.ckpt"))
    save_file({"weight": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(WeightsDamaged, match="no LoRA"):
        models.add_lora(tmp_path / "net.safetensors")


@pytest.mark.parametrize("text", ["", "  ", "just-a-word", "a/b/c/d"])
def test_what_names_no_model_is_refused(models: Models, text: str) -> None:
    with pytest.raises(InvalidInput):
        models.add(text)


def test_the_studios_model_is_not_deleted(models: Models, settings: Settings) -> None:
    with pytest.raises(JobError, match="that the studio runs"):
        models.remove(str(settings.model_dir))
    with pytest.raises(WeightsMissing):
        models.remove("/")
