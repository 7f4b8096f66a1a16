"""The studio by API: what `gradio_client` sends and gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from studio.engine import Engine
from studio.requests import TextToVideoRequest
from studio.settings import Settings
from tests.serving import serving

# Gradio's own bookkeeping asks pandas for an option that newer ones deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")
PROMPT = "a red ball moving left"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[tuple[Client, Engine]]:
    folder = tmp_path_factory.mktemp("api")
    settings = Settings(data_dir=folder / "outputs", model_dir=tiny_model, device="cpu", warm_up=False)
    with serving(settings, seconds_per_step=0.01) as (url, engine):
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
    assert all(each["parameter_default"] == fields[each["parameter_name"]].default for each in parameters[1:])


def test_what_the_page_does_by_itself_is_no_api(studio: tuple[Client, Engine]) -> None:
    client, _ = studio
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/text_to_video", "/submit", "/status", "/stop"}
