"""What goes wrong for people: one clear sentence, nothing lost, and the studio keeps serving."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.checkpoints import load_text_to_video
from pipelines.errors import InvalidInput, StorageError, UnsupportedFrames, WeightsMissing
from studio.engine import Done, Engine, Event, Failed
from studio.requests import TextToVideoRequest
from studio.settings import Settings

REQUEST = TextToVideoRequest(prompt="a red ball", frames=4, steps=2)


def run(engine: Engine) -> Event:
    *_, last = engine.watch(engine.submit(REQUEST), timeout=60)
    return last


@pytest.fixture
def own_model(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a copy of the model that a test may damage."""
    shutil.copytree(settings.model_dir, tmp_path / "own")
    return settings.model_copy(update={"model_dir": tmp_path / "own"})


@pytest.fixture
def start() -> Iterator[Callable[..., Engine]]:
    """Starts engines and closes them."""
    engines: list[Engine] = []

    def start(*args: Any) -> Engine:
        engines.append(Engine(*args))
        engines[-1].start()
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def test_frames_that_the_model_cannot_make_are_refused_at_once(own_model: Settings, start: Callable[..., Engine]) -> None:
    index = own_model.model_dir / "model_index.json"
    index.write_text(index.read_text().replace('"max_frames": 24', '"max_frames": 8'))
    with pytest.raises(UnsupportedFrames, match=r"16 frames were asked for\. This model makes 1 to 8 frames\."):
        start(own_model).submit(TextToVideoRequest(prompt="a", frames=16))


def test_a_missing_model_is_named_and_the_studio_serves_once_it_is_there(
    settings: Settings, tmp_path: Path, start: Callable[..., Engine]
) -> None:
    engine = start(settings.model_copy(update={"model_dir": tmp_path / "later", "warm_up": True}))
    with pytest.raises(WeightsMissing, match="There is no model in"):
        engine.submit(REQUEST)
    shutil.copytree(settings.model_dir, tmp_path / "later")
    assert isinstance(run(engine), Done)


def test_a_damaged_weights_file_fails_the_job_by_name_and_can_be_repaired(own_model: Settings, start: Callable[..., Engine]) -> None:
    weights = next((own_model.model_dir / "unet").glob("*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    engine = start(own_model)
    failed = run(engine)
    assert isinstance(failed, Failed)
    assert "is not a whole safetensors file" in failed.error
    weights.write_bytes(whole)
    assert isinstance(run(engine), Done)


def failing(error: Exception) -> Callable[[Path, str], Any]:
    """A loader whose pipeline raises at its first call, and works afterwards."""

    def load(path: Path, device: str) -> Any:
        pipe = load_text_to_video(path, device)
        decode, errors = pipe.decode_latents, [error]

        def decode_latents(latents: Any) -> Any:
            if errors:
                raise errors.pop()
            return decode(latents)

        pipe.decode_latents = decode_latents
        return pipe

    return load


UNEXPECTED = [
    (
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
        "The device has too little memory for this video. Ask for fewer frames",
    ),
    (MemoryError(), "The device has too little memory for this video. Ask for fewer frames"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "The device has too little memory"),
    (ZeroDivisionError("division by zero"), "Something unexpected happened (division by zero). Try again"),
]


@pytest.mark.parametrize(("error", "sentence"), UNEXPECTED)
def test_an_error_in_the_pipeline_fails_that_job_only(
    settings: Settings, start: Callable[..., Engine], caplog: pytest.LogCaptureFixture, error: Exception, sentence: str
) -> None:
    engine = start(settings, failing(error))
    failed = run(engine)
    assert isinstance(failed, Failed)
    assert failed.error.startswith(sentence)
    assert "Traceback" in caplog.text
    assert isinstance(run(engine), Done)


def test_an_unexpected_error_while_warming_up_leaves_the_worker_alive(settings: Settings, start: Callable[..., Engine]) -> None:
    errors: list[Exception] = [ZeroDivisionError("division by zero")]

    def load(path: Path, device: str) -> Any:
        if errors:
            raise errors.pop()
        return load_text_to_video(path, device)

    assert isinstance(run(start(settings.model_copy(update={"warm_up": True}), load)), Done)


def test_an_output_folder_that_turns_unwritable_fails_the_job_and_keeps_what_there_was(engine: Engine) -> None:
    run(engine)
    clips = engine.settings.data_dir / "clips"
    clips.rename(clips.with_name("aside"))
    clips.write_text("in the way")
    failed = run(engine)
    assert isinstance(failed, Failed)
    assert "cannot be written" in failed.error
    clips.unlink()
    clips.with_name("aside").rename(clips)
    assert isinstance(run(engine), Done)
    assert engine.history.count() == 2


def test_a_full_disk_refuses_the_job_before_it_runs(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.media.MIN_FREE_BYTES", 2**60)
    with pytest.raises(StorageError, match="MB are free"):
        engine.submit(REQUEST)


def test_a_database_that_is_gone_is_named_and_the_worker_lives_on(engine: Engine) -> None:
    database = engine.settings.data_dir / "studio.db"
    engine._store.database.dispose()
    aside = [(file, file.with_name(f"aside-{file.name}")) for file in engine.settings.data_dir.glob("studio.db*")]
    for file, away in aside:
        file.rename(away)
    database.mkdir()
    with pytest.raises(StorageError, match=r"The database .* cannot be used"):
        engine.submit(REQUEST)
    database.rmdir()
    for file, away in aside:
        away.rename(file)
    assert isinstance(run(engine), Done)


@pytest.mark.parametrize("folder", ["/proc/nope", "/dev/null/nope"])
def test_a_data_folder_that_cannot_be_made_is_named(settings: Settings, folder: str) -> None:
    with pytest.raises(StorageError, match=f"The folder '{folder}' cannot be used"):
        Engine(settings.model_copy(update={"data_dir": Path(folder)}))


def test_a_device_that_is_not_there_fails_the_job_by_name(settings: Settings, start: Callable[..., Engine]) -> None:
    failed = run(start(settings.model_copy(update={"device": "cuda:7"})))
    assert isinstance(failed, Failed)
    assert failed.error == "The device 'cuda:7' is not on this machine. Start with --device auto."


def test_a_dropped_file_that_is_not_ours_is_named(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"\x00" * 1000)
    for name in ("holiday.mp4", "gone.mp4"):
        with pytest.raises(InvalidInput, match=f"'{name}' cannot be read as a video"):
            engine.restore(tmp_path / name)


def test_a_video_that_was_moved_away_has_no_gif(engine: Engine) -> None:
    run(engine)
    (clip,) = engine.history.clips()
    clip.path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        engine.gif(clip.id)


def test_emoji_and_long_prompts_are_made(engine: Engine) -> None:
    for prompt in ("🐙🎈", "a red ball, " * 166 + "please"):
        *_, last = engine.watch(engine.submit(REQUEST.model_copy(update={"prompt": prompt})), timeout=60)
        assert isinstance(last, Done)
        assert engine.restore(last.clips[0].path).prompt == prompt
