"""Room for a job: refused before it starts, made in tiles, made again where memory runs out; on an image model, which has tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.checkpoints import load_text_to_video
from pipelines.errors import OutOfMemory
from pipelines.memory import Job
from studio.engine import Engine
from studio.events import Done, Event, Failed, Step
from studio.media import read_metadata
from studio.requests import TextToVideoRequest
from studio.residency import ModelPool
from studio.room import available_bytes, lost
from studio.settings import Settings
from tests.pipelines.directories import save

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
REQUEST = TextToVideoRequest(prompt="a red ball", frames=2, steps=2, noise_kind="independent")
PLENTY, NOTHING = 2**40, 2**20


@pytest.fixture(scope="module")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("stable-diffusion", tmp_path_factory.mktemp("sd") / "model")


@pytest.fixture
def start(settings: Settings, image_model: Path) -> Iterator[Callable[..., Engine]]:
    started: list[Engine] = []

    def start(available: int, load: Any = None) -> Engine:
        engine = Engine(settings.model_copy(update={"model_dir": image_model}), load)
        engine.pool.available = lambda device, held: available
        engine.start()
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()


def run(engine: Engine) -> list[Event]:
    return list(engine.watch(engine.submit(REQUEST), timeout=120))


def between(path: Path) -> int:
    """Bytes that are enough in tiles, but not as it is."""
    from pipelines.memory import forms, model_of, need

    pipe = load_text_to_video(path)
    job = Job(pipe.defaults.width, pipe.defaults.height, REQUEST.frames)
    plain, tiled = (need(model_of(path), job, form).total for form in forms(model_of(path), job, half=False)[:2])
    assert tiled < plain
    return (tiled + plain) // 2


def failing(times: int, said: str = "CUDA out of memory. Tried to allocate 2 GiB") -> Callable[[Path, str], Any]:
    """A loader whose pipeline fails when it decodes."""

    def load(path: Path, device: str) -> Any:
        pipe, left = load_text_to_video(path, device), [None] * times
        decode = pipe.vae.decode

        def decode_or_fail(*args: Any, **kwargs: Any) -> Any:
            if left:
                left.pop()
                raise RuntimeError(said)
            return decode(*args, **kwargs)

        pipe.vae.decode = decode_or_fail
        return pipe

    return load


def test_where_there_is_room_nothing_is_said(start: Callable[..., Engine]) -> None:
    *events, done = run(start(PLENTY))
    assert isinstance(done, Done)
    assert {event.note for event in events if isinstance(event, Step)} == {""}
    assert "note" not in read_metadata(done.clips[0].path)


def test_what_fits_in_no_form_is_refused_with_the_numbers(start: Callable[..., Engine]) -> None:
    engine = start(NOTHING)
    *events, failed = run(engine)
    assert isinstance(failed, Failed)
    assert "GiB at least, and the device has 0.0 GiB" in failed.error
    assert not any(isinstance(event, Step) for event in events)
    engine.pool.available = lambda device, held: PLENTY
    assert isinstance(run(engine)[-1], Done)


def test_what_fits_in_tiles_is_made_in_tiles_and_says_so(start: Callable[..., Engine], image_model: Path) -> None:
    engine = start(between(image_model))
    *events, done = run(engine)
    assert isinstance(done, Done)
    assert "decoded in tiles, for want of memory" in {event.note for event in events if isinstance(event, Step)}
    with engine.pool.borrow(image_model) as resident:
        assert not resident.pipe.vae.use_tiling


def test_where_memory_runs_out_it_is_made_once_more_and_says_so(start: Callable[..., Engine]) -> None:
    *_, done = run(start(PLENTY, failing(1)))
    assert isinstance(done, Done)
    assert read_metadata(done.clips[0].path)["note"] == "memory ran out: made again, decoded in tiles"


def test_where_memory_runs_out_twice_the_job_fails_and_the_queue_goes_on(start: Callable[..., Engine]) -> None:
    engine = start(PLENTY, failing(2))
    failed = run(engine)[-1]
    assert isinstance(failed, Failed)
    assert failed.error.startswith("The device has too little memory")
    assert isinstance(run(engine)[-1], Done)


def test_a_model_without_tiles_has_one_form(tiny_model: Path) -> None:
    pool = ModelPool("cpu", available=lambda device, held: PLENTY)
    with pool.borrow(tiny_model) as resident:
        assert [form.title for form in pool.room(resident, tiny_model, Job(64, 64, 4)).forms] == ["as it is"]
        pool.available = lambda device, held: NOTHING
        with pytest.raises(OutOfMemory):
            pool.room(resident, tiny_model, Job(64, 64, 4))


def test_a_processor_has_what_is_free_and_what_the_model_holds() -> None:
    assert available_bytes("cpu", 10**15) > 10**15


@pytest.mark.parametrize("said", ["CUDA error: unspecified launch failure", "CUDA error: device-side assert triggered\nCompile with ..."])
def test_a_lost_gpu_is_one_clear_sentence_and_the_queue_goes_on(start: Callable[..., Engine], said: str) -> None:
    engine = start(PLENTY, failing(1, said))
    failed = run(engine)[-1]
    assert isinstance(failed, Failed)
    assert failed.error.startswith("The GPU failed in the middle of this job (")
    assert "\n" not in failed.error
    assert isinstance(run(engine)[-1], Done)


def test_only_a_gpu_that_failed_counts_as_lost() -> None:
    assert lost(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not lost(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not lost(ValueError("device lost its way"))


def test_a_refusal_offers_a_length_that_fits(tmp_path: Path) -> None:
    from pipelines import families
    from pipelines.memory import first_that_fits, forms, model_of, need

    folder = save("wan", tmp_path / "wan")
    model, job = model_of(folder), Job(256, 256, 81)
    cheapest = forms(model, job, half=False)[1]
    available = need(model, replace(job, frames=33), cheapest).total
    with pytest.raises(OutOfMemory, match="Choose 33 frames or fewer, or a smaller size"):
        first_that_fits(model, job, available, half=False, offered=[cheapest])
    assert families.capabilities(folder).frames.nearest(33) == 33


def test_a_gpu_with_too_little_memory_takes_turns_and_the_retry_is_cheaper_still(tmp_path: Path) -> None:
    import torch

    from pipelines import families
    from pipelines.memory import Form, forms, model_of, need
    from studio.room import Room

    folder, job = save("wan", tmp_path / "wan"), Job(16, 16, 5)
    model = families.load(folder, dtype=torch.bfloat16)
    sizes = model_of(folder)
    turns = next(form for form in forms(sizes, job) if form.title == "parts in turn")
    room = Room(folder, model, job, need(sizes, job, turns).total, "cuda")  # nothing is computed: there need not be a GPU
    assert [form.title for form in room.forms] == ["parts in turn", "8-bit weights", "blocks in turn"]
    assert room.notes[:2] == ["parts in turn, for want of memory", "memory ran out: made again, 8-bit weights"]
    plenty = Room(folder, model, job, need(sizes, job, Form("", "")).total, "cuda")
    assert [form.title for form in plenty.forms][:2] == ["as it is", "decoded in tiles"]
    chosen = Room(folder, model, job, need(sizes, job, Form("", "")).total, "cuda", Form("as it is", "", offload="model", tiled=True))
    assert [(form.title, form.offload) for form in chosen.forms][:2] == [("as it is", "model"), ("8-bit weights", "model")]
    assert chosen.notes[0] == ""


def test_what_waits_in_the_machine_s_own_memory_is_not_counted_against_it_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from pipelines import families
    from pipelines.memory import Form
    from studio.room import Room

    folder = save("wan", tmp_path / "wan")
    model = families.load(folder)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=0))
    turns = Form("as it is", "", offload="model")
    assert Room(folder, model, Job(16, 16, 5), PLENTY, "cuda", turns).forms[0].offload == "model"
