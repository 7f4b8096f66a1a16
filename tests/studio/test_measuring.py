"""A model's magnitudes are measured in the queue and kept beside its other switches; what is stopped or refused leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InvalidInput, JobError
from studio.engine import Done, Engine, Step
from studio.measuring import measuring_of
from studio.model_here import ModelHere
from studio.requests import parse_request
from studio.tabs.models import Desk
from tests.pipelines.directories import save
from tests.studio.models import events

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Wan with two blocks, whose own size is small."""
    import torch
    from diffusers import WanTransformer3DModel

    folder = save("wan", tmp_path_factory.mktemp("measuring") / "deep")
    torch.manual_seed(5)
    config = {**WanTransformer3DModel.load_config(folder / "transformer"), "num_layers": 2}
    WanTransformer3DModel.from_config(config).save_pretrained(folder / "transformer")
    return folder


@pytest.fixture
def wan(engine: Engine, deep: Path, monkeypatch: pytest.MonkeyPatch) -> ModelHere:
    monkeypatch.setattr("studio.choosing.Chosen.size", lambda chosen, width, height: (16, 16))
    added = engine.models.add(str(deep))
    assert added
    return added


def request(engine: Engine, **changes: Any) -> Any:
    return measuring_of("deep", 0.1, engine.bench).model_copy(update={"steps": 4, "frames": 5, **changes})


def test_what_was_measured_is_kept_its_cache_is_on_and_no_clip_is_left(engine: Engine, wan: ModelHere) -> None:
    engine.models.set_speed(wan.name, {"attention": "_native_math", "cache": "first-block"})
    asked = request(engine)
    assert parse_request(asked.model_dump_json()) == asked
    *steps, last = events(engine, asked)
    assert isinstance(last, Done), last
    assert {(step.index, step.total) for step in steps if isinstance(step, Step)} <= {(i, 4) for i in range(5)}
    assert last.clips == ()
    speed = engine.models.speeds.of(wan.path)
    assert (speed.cache, speed.threshold, speed.attention, len(speed.ratios)) == ("mag", 0.1, "_native_math", 4)
    with engine.pool.borrow(wan.path) as resident:
        assert resident.pipe.denoiser.is_cache_enabled


def test_a_model_that_cannot_have_the_cache_is_refused_in_words(engine: Engine, wan: ModelHere) -> None:
    *_, last = events(engine, measuring_of("", 0.1, engine.bench))
    assert "not a row of transformer blocks" in last.error  # type: ignore[union-attr]
    engine.models.settings = engine.settings.model_copy(update={"models": "fixed"})
    with pytest.raises(JobError, match="host's choice"):
        engine.submit(request(engine))


def test_a_model_that_starts_from_a_picture_is_refused(engine: Engine, tmp_path: Path) -> None:
    engine.models.add(str(save("svd", tmp_path / "svd")))
    with pytest.raises(InvalidInput, match="starts from a picture"):
        engine.submit(measuring_of("svd", 0.1, engine.bench))


def test_the_button_queues_it_and_the_tab_shows_where_it_is_until_it_is_stopped(engine: Engine, wan: ModelHere) -> None:
    import gradio as gr

    from studio.tabs import models

    with gr.Blocks(), gr.Tabs() as tabs, gr.Tab("Models") as tab:
        desk = Desk(models.render(tab, tabs, gr.Dropdown(), True), engine)

    def act(**sent: Any) -> dict[Any, Any]:
        return desk.act({}, gr.EventData(None, sent))

    with engine.pool.borrow(engine.settings.model_dir):  # the job waits for the device
        shown = act(do="measure", model=wan.name, values={"cache": "mag", "threshold": "0.2"})
        assert "Measuring is in the queue" in shown[desk.ui.note]
        assert "<b>deep</b> · measuring magnitudes" in shown[desk.ui.under_way]
        assert shown[desk.ui.clock].active
        (job,) = engine.recent_jobs("measuring")
        act(do="stop", job=job)
    list(engine.watch(job, timeout=60))
    assert desk.look({})[desk.ui.under_way] == ""
    assert engine.models.speeds.values(wan.path) == {}
