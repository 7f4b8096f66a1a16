"""The studio by API: what `gradio_client` sends and gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from studio.engine import Engine
from studio.requests import TextToVideoRequest
from studio.settings import Settings
from studio.tabs.signatures import OWN_SETTINGS
from tests.pipelines.directories import save
from tests.serving import Pace, serving
from tests.studio.chains import moving, write_clip

# Gradio's own bookkeeping asks pandas for an option that newer ones deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")
PROMPT = "a red ball moving left"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[Client, Engine]]:
    folder = tmp_path_factory.mktemp("api")
    settings = Settings(data_dir=folder / "outputs", model_dir=tiny_model, device="cpu", warm_up=False)
    with serving(settings, Pace(0.01)) as (url, engine):
        yield Client(url, verbose=False, download_files=folder), engine


def test_the_same_job_by_api_gives_the_video_as_a_file(studio: tuple[Client, Engine]) -> None:
    client, engine = studio
    answer = client.predict(prompt=PROMPT, steps=3, seed=7, frames=4, api_name="/text_to_video")
    clip = answer["clips"][0]
    assert answer["state"] == "done"
    assert engine.restore(clip["video"]) == TextToVideoRequest(prompt=PROMPT, steps=3, seed=7, frames=4)


def test_an_iterating_client_sees_the_steps(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    states = [answer["state"] for answer in client.submit(prompt=PROMPT, steps=12, api_name="/text_to_video")]
    assert "step" in states
    assert states[-1] == "done"


def test_a_submitted_job_can_be_followed_and_stopped(studio: tuple[Client, Engine]) -> None:
    client, engine = studio
    job_id = client.predict(prompt=PROMPT, steps=200, api_name="/submit")
    assert client.predict(job_id=job_id, api_name="/status")["state"] in ("queued", "loading", "step")
    client.predict(job_id=job_id, api_name="/stop")
    *_, last = engine.watch(job_id, timeout=20)
    assert client.predict(job_id=job_id, api_name="/status")["state"] == "stopped", last


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prompt": ""}, "The prompt is empty."),
        ({"prompt": "x" * 10_000}, "10,000 characters"),
        ({"prompt": "a\x07b"}, "control character"),
        ({"prompt": PROMPT, "steps": 0}, "0"),
        ({"prompt": PROMPT, "steps": "many"}, "'many'"),
        ({"prompt": PROMPT, "frames": 33}, "33"),
        ({"prompt": PROMPT, "sampler": "euler"}, "'euler'"),
    ],
)
def test_bad_values_are_refused_in_words(studio: tuple[Client, Engine], values: dict[str, object], said: str) -> None:
    client, _ = studio
    with pytest.raises(AppError, match=said):
        client.predict(**values, api_name="/text_to_video")


def test_a_job_that_is_not_there_is_named(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    with pytest.raises(AppError, match="no job 'nothing'"):
        client.predict(job_id="nothing", api_name="/status")


def test_the_endpoint_has_the_requests_fields_as_parameters(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    parameters = client.view_api(return_format="dict")["named_endpoints"]["/text_to_video"]["parameters"]
    fields = TextToVideoRequest.model_fields
    assert [each["parameter_name"] for each in parameters] == [name for name in fields if name != "kind"]
    defaults = {each["parameter_name"]: each["parameter_default"] for each in parameters[1:]}
    own = dict.fromkeys(OWN_SETTINGS)  # what each model has its own for
    assert defaults == {name: fields[name].default for name in defaults} | own


def test_what_the_page_does_by_itself_is_no_api(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    making = {"/text_to_video", "/submit", "/comparison", "/submit_comparison", "/tune", "/submit_tuning", "/edits"}
    making |= {"/reference", "/submit_reference", "/finish", "/submit_finish"}
    telling = {"/stage_frame", "/domain_models", "/tuned_models", "/models", "/status", "/stop"}
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == making | telling


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_another_model_is_asked_for_by_name_with_its_own_settings(studio: tuple[Client, Engine], tmp_path: Path) -> None:
    client, engine = studio
    engine.models.add(str(save("wan", tmp_path / "wan")))
    told = {each["name"]: each for each in client.predict(api_name="/models")}
    assert (told["wan"]["frames"], told["wan"]["sampler"]) == (81, "")
    answer = client.predict(prompt=PROMPT, model="wan", frames=5, width=16, height=16, steps=2, api_name="/text_to_video")
    request = answer["clips"][0]["request"]
    assert (request["model"], request["fps"], request["sampler"], request["noise_kind"]) == ("wan", 16.0, "", "independent")
    with pytest.raises(AppError, match="There is no model 'nowhere' here"):
        client.predict(prompt=PROMPT, model="nowhere", api_name="/submit")
    engine.models.remove(str(tmp_path / "wan"))


WALL = {"base": {"prompt": PROMPT, "frames": 4, "steps": 2}, "columns": {"field": "seed", "values": [1, 2]}}


def test_a_wall_by_api_gives_its_clips_with_their_places(studio: tuple[Client, Engine]) -> None:
    client, engine = studio
    answer = client.predict(**WALL, rows={"field": "guidance_scale", "values": [1, 3]}, api_name="/comparison")
    assert answer["state"] == "done"
    assert [(cell["row"], cell["column"]) for cell in answer["cells"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [engine.restore(clip["video"]).seed for clip in answer["clips"]] == [1, 2, 1, 2]
    assert "consistency" in answer["cells"][0]["readings"]


def test_a_queued_wall_can_be_followed(studio: tuple[Client, Engine]) -> None:
    client, engine = studio
    job_id = client.predict(**WALL, api_name="/submit_comparison")
    *_, last = engine.watch(job_id, timeout=60)
    assert client.predict(job_id=job_id, api_name="/status")["state"] == "done", last


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"field": "seed", "values": [1, 1]}, "The seed 1 is given twice"),
        ({"field": "colour", "values": [1]}, "'colour'"),
        ({"field": "prior_strength", "values": [0.5]}, "without a domain model"),
        ({"field": "steps", "values": list(range(1, 100))}, "99 values of quality"),
    ],
)
def test_a_bad_wall_is_refused_in_words(studio: tuple[Client, Engine], columns: dict[str, object], said: str) -> None:
    client, _ = studio
    with pytest.raises(AppError, match=said):
        client.predict(base=WALL["base"], columns=columns, api_name="/comparison")


def test_domain_models_are_listed(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    assert client.predict(api_name="/domain_models") == []


def test_a_model_is_tuned_on_a_clip_and_edited_with_by_api(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    clip = client.predict(prompt=PROMPT, steps=2, frames=4, api_name="/text_to_video")["clips"][0]
    options = {"name": "By API", "steps": 2, "frames": 4}
    assert client.predict(clip={"id": clip["id"]}, caption=PROMPT, options=options, api_name="/tune")["state"] == "done"
    (model,) = client.predict(api_name="/tuned_models")
    assert (model["title"], model["caption"], model["frames"]) == ("By API", PROMPT, 4)
    answer = client.predict(model=model["name"], edits=["red -> blue"], settings={"steps": 2}, api_name="/edits")
    assert answer["state"] == "done"
    assert [cell["column"] for cell in answer["cells"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("clip", "caption", "said"),
    [({"id": "nothing"}, PROMPT, "nothing"), ({"path": "/etc/passwd"}, PROMPT, "Give a file, or the id"), ({"id": "x"}, "", "x")],
)
def test_a_bad_clip_for_tuning_is_refused_in_words(studio: tuple[Client, Engine], clip: dict[str, str], caption: str, said: str) -> None:
    client, engine = studio
    with pytest.raises(AppError, match=said):
        client.predict(clip=clip, caption=caption, api_name="/tune")
    assert not engine.queue()


REFERENCE = {"frames": 4, "steps": 2, "guidance_scale": 1}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upload, wider than high."""
    path = tmp_path_factory.mktemp("uploads") / "wide.png"
    Image.fromarray(moving(1, 96)[0][:64]).save(path)
    return path


def test_a_picture_is_brought_to_life_by_api(studio: tuple[Client, Engine], picture: Path) -> None:
    client, engine = studio
    options = {**REFERENCE, "smoother": 2, "smoother_way": "optical"}
    answer = client.predict(prompt=PROMPT, picture=handle_file(picture), options=options, api_name="/reference")
    assert answer["state"] == "done"
    assert [(stage["name"], stage["frames"]) for stage in answer["stages"]] == [("picture", 1), ("motion", 4), ("smooth", 7)]
    restored = engine.restore(answer["clips"][0]["video"])
    assert (restored.kind, restored.made_frames, restored.made_fps) == ("reference", 7, 16.0)


def test_a_frame_of_a_stage_is_the_next_picture_by_api(studio: tuple[Client, Engine]) -> None:
    client, engine = studio
    first = client.predict(prompt=PROMPT, options=REFERENCE, api_name="/reference")
    kept = client.predict(job_id=first["job_id"], stage="motion", frame=3, api_name="/stage_frame")
    last = {"id": first["clips"][0]["id"], "frame": 0}
    job_id = client.predict(prompt=PROMPT, picture={"name": kept}, last_picture=last, options=REFERENCE, api_name="/submit_reference")
    *_, end = engine.watch(job_id, timeout=60)
    told = client.predict(job_id=job_id, api_name="/status")
    assert told["state"] == "done", end
    assert [stage["name"] for stage in told["stages"]] == ["picture", "last_picture", "motion"]


def test_a_clip_is_finished_by_api(studio: tuple[Client, Engine], tmp_path: Path) -> None:
    client, _ = studio
    upload = write_clip(tmp_path / "a.mp4", moving(3))
    clip = client.predict(clip=handle_file(upload), step="smoother", options={"smoother": 4}, api_name="/finish")["clips"][0]
    assert (clip["request"]["smoother_way"], clip["request"]["frames"]) == ("optical", 3)
    job_id = client.predict(clip={"id": clip["id"]}, step="smoother", api_name="/submit_finish")
    assert client.predict(job_id=job_id, api_name="/status")["job_id"] == job_id


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": PROMPT, "picture": {"path": "/etc/passwd"}}, "Give a file, or the id of a video and a frame"),
        ({"prompt": PROMPT, "picture": {"name": "../../studio.db"}}, "name of a file that the studio keeps"),
        ({"prompt": PROMPT, "picture": {"id": "gone"}}, "no video 'gone'"),
        ({"prompt": PROMPT, "options": {"smoother": 2}}, "without a network for the frame between two"),
        ({"prompt": PROMPT, "options": {"smoother": 3}}, "3"),
        ({"prompt": PROMPT, "options": {"louder": 1}}, "no setting 'louder'"),
    ],
)
def test_a_bad_reference_is_refused_in_words(studio: tuple[Client, Engine], values: dict[str, object], said: str) -> None:
    client, engine = studio
    with pytest.raises(AppError, match=said):
        client.predict(**values, api_name="/reference")
    assert not engine.active_job("reference")


@pytest.mark.parametrize(
    ("clip", "step", "said"),
    [
        ({"id": "gone"}, "smoother", "no video 'gone'"),
        ({"path": "/etc/passwd"}, "smoother", "Give a file, or the id"),
        ({"name": "../x.mkv"}, "smoother", "no picture or clip"),
        ({"name": "0a.mkv"}, "smoother", "not kept any more"),
        ({"id": "x"}, "louder", "no finishing step 'louder'"),
    ],
)
def test_a_bad_finish_is_refused_in_words(studio: tuple[Client, Engine], clip: dict[str, str], step: str, said: str) -> None:
    client, _ = studio
    with pytest.raises(AppError, match=said):
        client.predict(clip=clip, step=step, api_name="/finish")


def test_a_file_that_is_no_picture_is_refused_in_words(studio: tuple[Client, Engine], tmp_path: Path) -> None:
    client, _ = studio
    (tmp_path / "bad.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(AppError, match="cannot be read as a picture"):
        client.predict(prompt=PROMPT, picture=handle_file(tmp_path / "bad.png"), api_name="/reference")
    with pytest.raises(AppError, match="cannot be read as a video"):
        client.predict(clip=handle_file(tmp_path / "bad.png"), step="longer", api_name="/finish")
