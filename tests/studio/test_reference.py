"""Reference jobs on the tiny model: the stages that are seen, what is made again and what is not, stopping and coming back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput, JobError, StudioError
from studio import media
from studio.engine import Done, Engine, Failed, StageStep, Stopped
from studio.requests import ReferenceRequest
from studio.settings import Settings
from tests.studio.chains import PROMPT, SHORT, cached, finished, frames_of, moving, run, save_finishers, until
from tests.tiny import save_tiny_model

CHAIN = SHORT.model_copy(update={"longer": 2, "smoother": 2, "smoother_way": "optical"})


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Engine]:
    """One engine for the tests that leave it as it is: their requests have seeds of their own."""
    engine = Engine(
        Settings(data_dir=tmp_path_factory.mktemp("studio"), model_dir=tiny_model, device="cpu", preview_every=0, warm_up=False)
    )
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def finisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose model has all finishers."""
    folder = tmp_path_factory.mktemp("finisher")
    model = save_finishers(save_tiny_model(folder / "tiny"))
    engine = Engine(Settings(data_dir=folder / "outputs", model_dir=model, device="cpu", warm_up=False))
    engine.start()
    yield engine
    engine.close()


def seeded(seed: int, **changes: object) -> ReferenceRequest:
    return CHAIN.model_copy(update={"seed": seed, "picture_seed": seed, **changes})


# -- What is seen -----------------------------------------------------------------------------------------------------


def test_the_stages_are_told_in_order_with_previews_and_the_time_left(studio: Engine) -> None:
    events = list(studio.watch(studio.submit(seeded(1, steps=6)), timeout=60))
    steps = [event for event in events if isinstance(event, StageStep)]
    assert list(dict.fromkeys(step.stage for step in steps)) == ["picture", "motion", "longer", "smooth"]
    assert any(step.preview and step.stage == "motion" for step in steps)
    assert all(made.preview.exists() for step in steps for made in step.stages)
    assert [made.name for made in steps[-1].stages] == ["picture", "motion", "longer", "smooth"]
    assert steps[-1].seconds_left == 0
    assert all(step.seed == 1 and step.index <= step.total for step in steps)


def test_the_finished_clip_is_in_the_history_with_everything_that_makes_it_again(studio: Engine) -> None:
    from pipelines.checkpoints import weight_hashes

    job_id, done = finished(studio, seeded(2))
    (clip,) = done.clips
    assert (clip.frames, clip.fps, clip.width, clip.height, clip.seed, clip.prompt) == (11, 16.0, 64, 64, 2, PROMPT)
    assert studio.restore(clip.path) == clip.request == studio.request_of(job_id) == seeded(2)
    assert media.read_metadata(clip.path)["weights"] == weight_hashes(studio.settings.model_dir)
    assert len(media.read_frames(clip.path)) == 11
    assert studio.history.clips()[0] == clip


def test_the_stages_stay_to_be_seen_after_the_end(studio: Engine) -> None:
    job_id, _ = finished(studio, seeded(3))
    assert [(made.name, made.frames, made.fps) for made in studio.stages(job_id)] == [
        ("picture", 1, 8.0),
        ("motion", 4, 8.0),
        ("longer", 6, 8.0),
        ("smooth", 11, 16.0),
    ]


# -- What is made again -----------------------------------------------------------------------------------------------


ALL = ["picture", "motion", "longer", "smooth"]


@pytest.mark.parametrize(
    ("number", "changes", "again"),
    [
        (20, {}, []),
        (21, {"seed": 99}, ["motion", "longer", "smooth"]),
        (22, {"reference_strength": 2}, ["motion", "longer", "smooth"]),
        (23, {"longer": 3}, ["longer", "smooth"]),
        (24, {"smoother": 4}, ["smooth"]),
        (25, {"smoother_way": "network"}, ["smooth"]),
        (26, {"picture_seed": 99}, ALL),
        (27, {"prompt": "a blue star"}, ALL),
    ],
)
def test_only_what_a_change_concerns_is_made_again(studio: Engine, number: int, changes: dict[str, object], again: list[str]) -> None:
    request = seeded(number)
    first, _ = finished(studio, request)
    second, _ = finished(studio, request.model_copy(update=changes))
    assert [name for name, found in cached(studio, second).items() if not found] == again
    for name in set(ALL) - set(again):
        assert (frames_of(studio, first, name) == frames_of(studio, second, name)).all()


def test_another_seed_of_the_motion_moves_otherwise(studio: Engine) -> None:
    jobs = [finished(studio, seeded(5).model_copy(update={"seed": seed, "longer": 0, "smoother": 1}))[0] for seed in (5, 6)]
    first, second = (frames_of(studio, job_id, "motion") for job_id in jobs)
    assert (first != second).any()


def test_without_anything_kept_the_same_request_gives_the_same_pixels(engine: Engine) -> None:
    first, _ = finished(engine, seeded(1))
    before = {name: frames_of(engine, first, name) for name in ("picture", "motion", "longer", "smooth")}
    shutil.rmtree(engine.settings.data_dir / "stages")
    second, _ = finished(engine, seeded(1))
    assert not any(cached(engine, second).values())
    assert all((frames_of(engine, second, name) == frames).all() for name, frames in before.items())


def test_a_damaged_result_is_made_anew(engine: Engine) -> None:
    first, _ = finished(engine, seeded(1))
    frames = frames_of(engine, first, "motion")
    stored = engine.bench.stages.stored_of(first, "motion")
    assert stored
    (stored.folder / "frames.mkv").write_bytes(b"")
    second, _ = finished(engine, seeded(1, longer=3))
    assert cached(engine, second) == {"picture": True, "motion": False, "longer": False, "smooth": False}
    assert (frames_of(engine, second, "motion") == frames).all()


# -- Stopping and coming back -----------------------------------------------------------------------------------------


def test_stopped_within_a_stage_the_next_run_goes_on_from_the_one_before(studio: Engine) -> None:
    request = seeded(7, steps=60)
    job_id = studio.submit(request)
    until(studio, job_id, "motion")
    studio.stop(job_id)
    *_, last = studio.watch(job_id, timeout=20)
    assert isinstance(last, Stopped)
    assert last.clips == ()
    assert list(cached(studio, job_id)) == ["picture"]
    again = studio.rerun(job_id)
    until(studio, again, "motion")
    assert cached(studio, again) == {"picture": True}
    studio.stop(again)


def test_after_a_restart_the_stages_are_there_and_are_used(settings: Settings) -> None:
    first = Engine(settings)
    first.start()
    job_id, _ = finished(first, seeded(1))
    stages = first.stages(job_id)
    first.close()
    second = Engine(settings)
    second.start()
    assert second.stages(job_id) == stages
    again, _ = finished(second, seeded(1))
    assert all(cached(second, again).values())
    second.close()


# -- Pictures ---------------------------------------------------------------------------------------------------------


def test_given_pictures_are_the_first_and_the_last_frame(studio: Engine, tmp_path: Path) -> None:
    Image.fromarray(moving(1, 96)[0][:64]).save(tmp_path / "first.png")
    Image.fromarray(moving(1, 64, seed=3)[0]).save(tmp_path / "last.jpg")
    first, last = studio.add_picture(tmp_path / "first.png").name, studio.add_picture(tmp_path / "last.jpg").name
    job_id, _ = finished(studio, SHORT.model_copy(update={"picture": first, "last_picture": last}))
    motion = frames_of(studio, job_id, "motion")
    assert list(cached(studio, job_id)) == ["picture", "last_picture", "motion"]
    assert (motion[0] == studio.bench.sources.picture(first)).all()
    assert (motion[-1] == studio.bench.sources.picture(last)).all()


def test_a_drawn_picture_may_have_a_last_one(studio: Engine) -> None:
    _, done = finished(studio, seeded(8))
    second, _ = finished(studio, SHORT.model_copy(update={"last_picture": f"clip:{done.clips[0].id}#10", "picture_seed": 8}))
    assert list(cached(studio, second)) == ["picture", "last_picture", "motion"]
    assert frames_of(studio, second, "motion").shape == (4, 64, 64, 3)


def test_a_frame_of_any_stage_can_be_the_next_reference(studio: Engine) -> None:
    job_id, _ = finished(studio, seeded(9))
    picture = studio.stage_frame(job_id, "longer", -1)
    second, done = finished(studio, SHORT.model_copy(update={"picture": picture}))
    assert (frames_of(studio, second, "motion")[0] == frames_of(studio, job_id, "longer")[-1]).all()
    assert media.read_metadata(done.clips[0].path)["sources"].keys() == {picture}


def test_a_frame_that_is_not_there_is_refused(studio: Engine) -> None:
    job_id, _ = finished(studio, seeded(9))
    with pytest.raises(InvalidInput, match="It has 4: give 0 to 3"):
        studio.stage_frame(job_id, "motion", 4)
    with pytest.raises(JobError, match="'sharp'"):
        studio.stage_frame(job_id, "sharp", 0)


def test_a_picture_whose_clip_is_deleted_before_its_turn_fails_in_words(studio: Engine) -> None:
    _, done = finished(studio, seeded(10))
    clip = done.clips[0].id
    busy = studio.submit(seeded(11, steps=100))
    job_id = studio.submit(SHORT.model_copy(update={"picture": f"clip:{clip}#2"}))
    studio.history.delete(clip)
    studio.stop(busy)
    *_, last = studio.watch(job_id, timeout=20)
    assert isinstance(last, Failed)
    assert "There is no video" in last.error


# -- With finishers ---------------------------------------------------------------------------------------------------


def test_with_its_networks_a_clip_is_smoothed_steadied_and_sharpened(finisher: Engine) -> None:
    request = SHORT.model_copy(update={"smoother": 4, "steadier": True, "sharper": True})
    job_id, done = finished(finisher, request)
    assert [(made.name, made.frames, made.width) for made in finisher.stages(job_id)] == [
        ("picture", 1, 64),
        ("motion", 4, 64),
        ("smooth", 13, 64),
        ("steady", 13, 64),
        ("sharp", 13, 128),
    ]
    (clip,) = done.clips
    assert (clip.width, clip.height, clip.frames, clip.fps) == (128, 128, 13, 32.0)
    assert {file.split("/")[1] for file in media.read_metadata(clip.path)["weights"] if file.startswith("finishers/")} == {
        "flow",
        "frames",
        "decoder",
        "upscaler",
    }


def test_a_network_that_was_trained_again_makes_its_stage_anew(finisher: Engine) -> None:
    import torch

    from pipelines.latent_flow import LatentFlow

    request = SHORT.model_copy(update={"smoother": 2})
    finished(finisher, request)
    torch.manual_seed(7)
    LatentFlow(12, width=16, blocks=1, fine_width=8).save_pretrained(finisher.settings.model_dir / "finishers" / "flow")
    job_id, _ = finished(finisher, request)
    assert cached(finisher, job_id) == {"picture": True, "motion": True, "smooth": False}


# -- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"smoother": 2, "smoother_way": "learned"}, "without a network for the frame between two. Choose frames between along"),
        ({"steadier": True}, "without a video decoder. Leave it"),
        ({"sharper": True}, "without an upscaler. Leave it"),
        ({"frames": 32}, "32 frames were asked for. This model makes 2 to 24"),
        ({"frames": 2, "last_picture": "0a.png"}, "2 frames were asked for. This model makes 3 to 24"),
        ({"longer": 2000, "smoother": 2, "smoother_way": "optical"}, "are 4,007. At most 2,048"),
        ({"fps": 60, "smoother": 8, "smoother_way": "optical"}, "480 frames a second. At most 240"),
        ({"picture": "0a.png"}, "'0a.png' is not kept any more"),
        ({"picture": "clip:gone#1"}, "no video 'gone'"),
    ],
)
def test_what_cannot_be_made_is_refused_before_it_is_queued(studio: Engine, changes: dict[str, object], said: str) -> None:
    with pytest.raises(StudioError) as refusal:
        studio.submit(SHORT.model_copy(update=changes))
    assert said in str(refusal.value)
    assert not studio.queue()


def test_a_model_that_takes_no_frames_is_refused(settings: Settings, tmp_path: Path) -> None:
    model = Path(shutil.copytree(settings.model_dir, tmp_path / "plain"))
    config = model / "unet" / "config.json"
    config.write_text(config.read_text().replace('"condition_frames": true', '"condition_frames": false'))
    engine = Engine(settings.model_copy(update={"model_dir": model}))
    with pytest.raises(InvalidInput, match="takes no given frames"):
        engine.submit(SHORT)
    engine.close()


def test_the_first_picture_is_only_a_hint_below_full_strength(studio: Engine) -> None:
    job_id, _ = finished(studio, SHORT.model_copy(update={"reference_strength": 0.5}))
    picture, motion = frames_of(studio, job_id, "picture")[0], frames_of(studio, job_id, "motion")[0]
    assert np.abs(picture.astype(int) - motion).mean() > 0


def test_other_kinds_of_work_go_on_beside_it(studio: Engine) -> None:
    from studio.requests import TextToVideoRequest

    _, last = run(studio, TextToVideoRequest(prompt=PROMPT, frames=4, steps=2))
    assert isinstance(last, Done)
    assert studio.stages(last.job_id) == ()
    assert [clip.request.kind for clip in studio.history.clips(limit=1)] == ["text_to_video"]
