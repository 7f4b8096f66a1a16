"""Models are fetched from a Hub: only what is safe, with progress; cancelled, gone on with, listed, deleted; each failure one sentence."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from pipelines.errors import (
    DownloadError,
    InvalidInput,
    JobError,
    StorageError,
    StudioError,
    UnknownFamily,
    UnsafeModel,
    WeightsDamaged,
    WeightsMissing,
)
from studio.downloads import ModelStore, Progress, size_text
from studio.model_files import RemoteFile, choose_files
from tests.studio.hub import COMMIT, Hub, served

WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
MODEL = {
    "README.md": b"# a model",
    "model_index.json": b'{"_class_name": "WanPipeline"}',
    "model.safetensors": b"all in one file, which is not for us",
    "unet/config.json": b'{"a": 1}',
    "unet/diffusion_pytorch_model.safetensors": WEIGHTS,
    "unet/diffusion_pytorch_model.fp16.safetensors": WEIGHTS[:7],
    "unet/diffusion_pytorch_model.bin": b"\x80pickle",
    "unet/code.py": b"import os",
    "tokenizer/vocab.txt": b"a b",
}
WANTED = {"model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer/vocab.txt"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 64 * 1024)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    with served() as hub:
        hub.repositories["a/model"] = dict(MODEL)
        yield hub


@pytest.fixture
def store(hub: Hub, tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", token="a token", endpoint=hub.address)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"download.json", ".lock"}


def stopped_in_the_middle(store: ModelStore) -> list[Progress]:
    """A download that somebody stops while the weights come."""
    stop, told = threading.Event(), list[Progress]()

    class Counter:
        def __call__(self, progress: Progress) -> None:
            told.append(progress)
            if progress.done > 200_000:
                stop.set()

    store_told = Counter()
    assert store.download("a/model", tell=store_told, stop=stop) is None
    return told


@pytest.fixture
def every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told of each chunk, not only some times a second."""
    clock = iter(range(10**9))
    monkeypatch.setattr("studio.downloads.time.monotonic", lambda: float(next(clock)))


def test_only_safetensors_and_configurations_are_fetched_each_weight_once(store: ModelStore, hub: Hub) -> None:
    folder = store.download("a/model")
    assert folder is not None
    assert files(folder) == WANTED
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS
    assert set(hub.fetched()) == WANTED


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_what_was_fetched_is_a_model_that_loads(store: ModelStore, hub: Hub, tmp_path: Path) -> None:
    from pipelines import families
    from tests.pipelines.directories import save

    made = save("wan", tmp_path / "made")
    hub.repositories["a/wan"] = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    folder = store.download("a/wan")
    assert folder is not None
    assert families.load(folder).family.name == "wan"


@pytest.mark.usefixtures("every_chunk")
def test_progress_has_bytes_speed_and_an_end(store: ModelStore) -> None:
    told: list[Progress] = []
    store.download("a/model", tell=told.append)
    assert told[-1].done == told[-1].total == store.plan("a/model").bytes
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert any(one.speed and one.seconds_left is not None for one in told)


@pytest.mark.usefixtures("every_chunk")
def test_a_stopped_download_goes_on_where_it_was(store: ModelStore, hub: Hub) -> None:
    stopped_in_the_middle(store)
    here = store.find("a/model")
    assert here is not None
    assert not here.whole
    assert 100_000 < here.bytes < here.total
    folder = store.download("a/model")
    assert folder is not None
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and asked]
    assert len(ranges) == 1
    assert int(ranges[0].removeprefix("bytes=").rstrip("-")) > 100_000
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS


def test_of_a_model_that_nobody_here_can_run_no_weights_are_fetched(store: ModelStore, hub: Hub) -> None:
    hub.repositories["a/model"]["model_index.json"] = b'{"_class_name": "MusicPipeline"}'
    with pytest.raises(UnknownFamily, match="MusicPipeline"):
        store.download("a/model")
    assert hub.fetched() == ["model_index.json"]
    assert store.find("a/model") is None


def test_a_connection_that_breaks_once_is_taken_up_again(store: ModelStore, hub: Hub) -> None:
    hub.break_after = 300_000
    folder = store.download("a/model")
    assert folder is not None
    assert files(folder) == WANTED


def test_a_whole_model_is_not_fetched_again(store: ModelStore, hub: Hub) -> None:
    store.download("a/model")
    hub.asked.clear()
    store.download("a/model")
    assert hub.fetched() == []


def test_a_file_that_changed_on_the_hub_is_fetched_anew(store: ModelStore, hub: Hub) -> None:
    folder = store.download("a/model")
    assert folder is not None
    hub.repositories["a/model"]["unet/diffusion_pytorch_model.safetensors"] = WEIGHTS[::-1]
    store.download("a/model")
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == WEIGHTS[::-1]


def test_one_file_alone_can_be_fetched(store: ModelStore, hub: Hub) -> None:
    hub.repositories["a/lora"] = {"look.safetensors": b"a lora", "look.pt": b"\x80"}
    folder = store.download("a/lora", file="look.safetensors")
    assert folder is not None
    assert files(folder) == {"look.safetensors"}
    with pytest.raises(UnsafeModel, match=r"look\.pt"):
        store.plan("a/lora", file="look.pt")
    with pytest.raises(WeightsMissing, match=r"no file 'gone\.safetensors'"):
        store.plan("a/lora", file="gone.safetensors")


def test_what_is_here_is_listed_and_deleted(store: ModelStore) -> None:
    folder = store.download("a/model")
    (model,) = store.models()
    assert (model.hub, model.whole, model.bytes, model.total, model.folder) == ("a/model", True, model.total, model.bytes, folder)
    assert store.delete("a/model") == model.bytes
    assert store.models() == []
    with pytest.raises(WeightsMissing, match="is not here"):
        store.delete("a/model")


def test_offline_nothing_is_asked_and_a_whole_model_is_given(store: ModelStore, hub: Hub, tmp_path: Path) -> None:
    store.download("a/model")
    hub.asked.clear()
    away = ModelStore(tmp_path / "models", offline=True, endpoint=hub.address)
    assert away.download("a/model") == away.folder_of("a/model")
    with pytest.raises(DownloadError, match="offline"):
        away.download("a/other")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ((403, "GatedRepo"), r"ask for consent.*huggingface.co/a/model.*HF_TOKEN"),
        ((404, "RepoNotFound"), "no model 'a/model' on the Hub, or it is private"),
        ((401, ""), r"answered 401.*HF_TOKEN"),
        ((404, "RevisionNotFound"), "no revision 'main'"),
        ((503, ""), "answered 503"),
    ],
)
def test_what_the_hub_does_not_give_is_explained(store: ModelStore, hub: Hub, error: tuple[int, str], said: str) -> None:
    hub.errors["a/model"] = error
    with pytest.raises(DownloadError, match=said):
        store.download("a/model")


def test_no_network_is_said_in_one_sentence(store: ModelStore) -> None:
    nowhere = ModelStore(store.folder, endpoint="http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="connection to the Hub broke"):
        nowhere.plan("a/model")


def test_a_full_disk_is_found_before_the_download(store: ModelStore, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(StorageError, match=r"needs 1 MB more.*has 1 kB free"):
        store.download("a/model")
    assert hub.fetched() == []


def test_a_disk_that_fills_up_on_the_way_is_said(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.downloads.http_get", full)
    with pytest.raises(StorageError, match="No space left"):
        store.download("a/model")


def test_a_file_that_is_not_what_was_promised_is_thrown_away(store: ModelStore, hub: Hub) -> None:
    hub.lies["unet/diffusion_pytorch_model.safetensors"] = "f" * 64
    with pytest.raises(WeightsDamaged, match="SHA-256 differs"):
        store.download("a/model")
    assert not list(store.folder.rglob("*.part"))


@pytest.mark.parametrize(
    ("paths", "error", "said"),
    [
        (["unet/model.bin", "model_index.json"], UnsafeModel, "only pickles for its part 'unet'"),
        (["README.md", "data.csv"], UnknownFamily, "no model in diffusers' layout"),
        (["config.json", "pytorch_model.bin"], UnknownFamily, "no model in diffusers' layout"),
    ],
)
def test_a_repository_that_cannot_be_used_is_refused_before_it_is_fetched(paths: list[str], error: type[StudioError], said: str) -> None:
    with pytest.raises(error, match=said):
        choose_files("a/b", [RemoteFile(path, 1) for path in paths])


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (["config.json", "diffusion_pytorch_model.safetensors", "x.ckpt"], {"config.json", "diffusion_pytorch_model.safetensors"}),
        (["model_index.json", "vae/a.fp16.safetensors"], {"model_index.json", "vae/a.fp16.safetensors"}),
        (["model_index.json", "vae/a-00001-of-00002.safetensors"], {"model_index.json", "vae/a-00001-of-00002.safetensors"}),
        (["model_index.json", "vae/a.fp16-00001-of-00002.safetensors", "vae/a.safetensors"], {"model_index.json", "vae/a.safetensors"}),
        (["model_index.json", "docs/deep/a.json"], {"model_index.json"}),
    ],
)
def test_of_several_forms_of_the_weights_one_is_chosen(paths: list[str], chosen: set[str]) -> None:
    assert {file.path for file in choose_files("a/b", [RemoteFile(path, 1) for path in paths])} == chosen


def test_a_path_that_leads_out_of_the_folder_is_not_followed(store: ModelStore, hub: Hub) -> None:
    hub.repositories["a/model"] |= {"../evil.json": b"{}", "unet/../../evil.json": b"{}"}
    assert {file.path for file in store.plan("a/model").files} == WANTED


def test_a_model_is_downloaded_once_at_a_time(store: ModelStore) -> None:
    from filelock import FileLock

    folder = store.folder_of("a/model")
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(JobError, match="already"):
        store.download("a/model")


def test_a_wrong_name_is_refused_and_a_commit_is_noted(store: ModelStore) -> None:
    with pytest.raises(InvalidInput, match="no name of a model"):
        store.plan("just-a-word")
    assert store.plan("a/model").commit == COMMIT


@pytest.mark.parametrize(("count", "text"), [(12, "12 bytes"), (1200, "1 kB"), (3_400_000, "3 MB"), (12_345_678_901, "12.3 GB")])
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size_text(count) == text
