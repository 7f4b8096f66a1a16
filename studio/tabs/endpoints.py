"""The same jobs by API, for `gradio_client` and plain HTTP: the request's fields are the parameters of the endpoint.

client = gradio_client.Client("http://127.0.0.1:7860")
client.predict(prompt="a red ball moving left", api_name="/text_to_video")
client.predict(
    base={"prompt": "a red ball", "domain_model": "sketch"},
    columns={"field": "prior_strength", "values": [0, 0.5, 1, "prior"]},
    api_name="/comparison",
)
client.predict(clip=gradio_client.handle_file("skier.mp4"), caption="a man is skiing", options={"name": "skier"}, api_name="/tune")
client.predict(clip={"id": clip_id}, caption="a man is skiing", options={"name": "a", "model": "my-stable-diffusion"}, api_name="/tune")
client.predict(model="skier", edits=["man -> robot"], api_name="/edits")     # by the name of the tuned model; its base is found
client.predict(prompt="a cat walks", picture=gradio_client.handle_file("cat.jpg"), options={"smoother": 2}, api_name="/reference")
client.predict(prompt="a cat walks", model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers", api_name="/text_to_video")
client.predict(clip=gradio_client.handle_file("skier.mp4"), step="smoother", api_name="/finish")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, cast

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta

from pipelines.errors import InvalidInput, StudioError

from ..engine import Engine
from ..events import Done, Event, Failed, Stopped
from ..fields import shown
from ..finishing import FinishingStep
from ..history import ClipRecord
from ..requests import (
    RECONSTRUCTION,
    SOURCE,
    ComparisonRequest,
    FinishingRequest,
    ReferenceRequest,
    Request,
    model_of,
    parse_request,
)
from .signatures import request_of, with_fields

Answer = dict[str, Any]


def render(engine: Engine) -> None:
    """Adds the endpoints to the page that is being built."""
    endpoints = {
        "text_to_video": (text_to_video(engine), "Makes a video and waits for it; a client that iterates sees the progress."),
        "submit": (submit(engine), "Queues a video and returns the id of its job at once."),
        "comparison": (comparison(engine), "Makes a wall of clips that differ in one or two settings, and waits for it."),
        "submit_comparison": (submit_comparison(engine), "Queues a wall and returns the id of its job at once."),
        "tune": (tune(engine), "Tunes a model on a clip and waits for it; the options are the fields of its request."),
        "submit_tuning": (submit_tuning(engine), "Queues a tuning and returns the id of its job at once."),
        "edits": (edits(engine), "Makes a wall of a tuned model's clip, its reconstruction and edits, and waits for it."),
        "reference": (reference(engine), "Brings a picture to life, drawn or given, and waits; the options are the fields of its request."),
        "submit_reference": (submit_reference(engine), "Queues a picture that is brought to life and returns the id of its job at once."),
        "finish": (finish(engine), "Makes a clip smoother, sharper, longer or steadier and waits for it."),
        "submit_finish": (submit_finish(engine), "Queues the finishing of a clip and returns the id of its job at once."),
        "stage_frame": (stage_frame(engine), "Keeps a frame of what a stage of a job made, to start from it."),
        "tuned_models": (tuned_models(engine), "The models that were tuned on a clip."),
        "domain_models": (domain_models(engine), "The domain models that can be put over the studio's model."),
        "models": (models(engine), "The models that can be asked for by name, and the settings that each has unless told otherwise."),
        "status": (status(engine), "Where a job is now."),
        "stop": (stop(engine), "Stops a running job within a step, or takes a waiting one out of the queue."),
    }
    for name, (function, description) in endpoints.items():
        gr.api(refusing(function), api_name=name, api_description=description, concurrency_limit=None)


def text_to_video(engine: Engine) -> Callable[..., Any]:
    def text_to_video(*values: Any) -> Iterator[Answer]:
        yield from answers(engine, request_of(engine, values))

    return with_fields(text_to_video)


def answers(engine: Engine, request: Request) -> Iterator[Answer]:
    """What happens to a job, to its end."""
    for event in engine.watch(engine.submit(request)):
        if isinstance(event, Failed):
            raise gr.Error(event.error, print_exception=False)
        yield answer(event, engine)


def comparison(engine: Engine) -> Callable[..., Any]:
    def comparison(base: dict, columns: dict, rows: dict | None = None) -> Iterator[dict]:  # type: ignore[type-arg]
        yield from answers(engine, comparison_of(engine, base, columns, rows))

    return comparison


def submit_comparison(engine: Engine) -> Callable[..., Any]:
    def submit_comparison(base: dict, columns: dict, rows: dict | None = None) -> str:  # type: ignore[type-arg]
        return engine.submit(comparison_of(engine, base, columns, rows))

    return submit_comparison


def comparison_of(engine: Engine, base: Answer, columns: Answer, rows: Answer | None) -> Request:
    """Columns and rows are {"field": a setting, "values": [...]}; the base has the settings that all clips share."""
    return parse_request({"kind": "comparison", "base": engine.completed(base), "columns": columns, "rows": rows or None})


def tune(engine: Engine) -> Callable[..., Any]:
    def tune(clip: dict, caption: str, options: dict | None = None) -> Iterator[dict]:  # type: ignore[type-arg]
        yield from answers(engine, tuning_of(engine, clip, caption, options))

    return tune


def submit_tuning(engine: Engine) -> Callable[..., Any]:
    def submit_tuning(clip: dict, caption: str, options: dict | None = None) -> str:  # type: ignore[type-arg]
        return engine.submit(tuning_of(engine, clip, caption, options))

    return submit_tuning


def tuning_of(engine: Engine, clip: Answer, caption: str, options: Answer | None) -> Request:
    """The clip is a file, as a client uploads it, or {"id": of a video in the history}; it is kept for the job."""
    if "id" in clip:
        path = engine.history.get(str(clip["id"])).path
    elif is_file_obj_with_meta(clip):  # Gradio has seen to it that it was uploaded
        path = Path(clip["path"])
    else:
        raise InvalidInput(f"The clip is {shown(clip)}.", "Give a file, or the id of a video.")
    own = engine.completed({"model": (options or {}).get("model")})
    length = {"frames": own["frames"]} if "frames" in own else {}  # of what else suits the model, 0 asks for it
    values = {"kind": "one_shot_tuning", "name": "Tuned by API", **length, **(options or {}), "caption": caption, "clip": "any"}
    parse_request(values)  # what is wrong is said before anything is copied
    return parse_request(values | {"clip": str(engine.keep_clips([path]) / path.name)})


def edits(engine: Engine) -> Callable[..., Any]:
    def edits(model: str, edits: list, settings: dict | None = None) -> Iterator[dict]:  # type: ignore[type-arg]
        yield from answers(engine, edits_of(engine, model, edits, settings))

    return edits


def edits_of(engine: Engine, model: str, edits: list[Any], settings: Answer | None) -> Request:
    """Edits are prompts, or 'red -> blue'; the settings are those of a video."""
    record = engine.tuned_models.get(model)
    base = engine.bench.bases.of(record)
    own = base.settings() | {"model": base.name, "sampler": "ddim"}
    clip = {"prompt": record.caption, "frames": record.frames, "fps": record.fps, "tuned_model": record.name}
    columns = {"field": "prompt", "values": [SOURCE, RECONSTRUCTION, *edits]}
    return parse_request({"kind": "edits", "base": {**own, **(settings or {}), **clip}, "columns": columns})


def reference(engine: Engine) -> Callable[..., Any]:
    def reference(
        prompt: str,
        picture: dict | None = None,  # type: ignore[type-arg]
        last_picture: dict | None = None,  # type: ignore[type-arg]
        options: dict | None = None,  # type: ignore[type-arg]
    ) -> Iterator[dict]:  # type: ignore[type-arg]
        yield from answers(engine, reference_of(engine, prompt, picture, last_picture, options))

    return reference


def submit_reference(engine: Engine) -> Callable[..., Any]:
    def submit_reference(
        prompt: str,
        picture: dict | None = None,  # type: ignore[type-arg]
        last_picture: dict | None = None,  # type: ignore[type-arg]
        options: dict | None = None,  # type: ignore[type-arg]
    ) -> str:
        return engine.submit(reference_of(engine, prompt, picture, last_picture, options))

    return submit_reference


def reference_of(engine: Engine, prompt: str, picture: Answer | None, last: Answer | None, options: Answer | None) -> Request:
    """Pictures are files, {"id": of a video, "frame": 7}, or {"name": what the studio keeps}; without one the first is drawn."""
    values = {"kind": "reference", **engine.completed(options or {}), "prompt": prompt}
    model = model_of(parse_request(values))  # what is wrong is said before anything is kept
    given = {"picture": picture_of(engine, picture, model), "last_picture": picture_of(engine, last, model)}
    return parse_request(values | given)


def picture_of(engine: Engine, picture: Answer | None, model: str) -> str:
    """The source of a request, at the size of the model that it names."""
    if not picture:
        return ""
    if "id" in picture:
        return f"clip:{picture['id']}" + (f"#{picture['frame']}" if "frame" in picture else "")
    if "name" in picture:
        return str(picture["name"])
    if is_file_obj_with_meta(picture):
        return engine.add_picture(picture["path"], model).name
    raise InvalidInput(f"The picture is {shown(picture)}.", "Give a file, or the id of a video and a frame.")


def finish(engine: Engine) -> Callable[..., Any]:
    def finish(clip: dict, step: str, options: dict | None = None) -> Iterator[dict]:  # type: ignore[type-arg]
        yield from answers(engine, finishing_of(engine, clip, step, options))

    return finish


def submit_finish(engine: Engine) -> Callable[..., Any]:
    def submit_finish(clip: dict, step: str, options: dict | None = None) -> str:  # type: ignore[type-arg]
        return engine.submit(finishing_of(engine, clip, step, options))

    return submit_finish


def finishing_of(engine: Engine, clip: Answer, step: str, options: Answer | None) -> Request:
    """The clip is a file, {"id": of a video} or {"name": what the studio keeps}; the options change what the step usually asks for."""
    if "id" in clip or "name" in clip:
        name = str(clip.get("id") or clip["name"])
    elif is_file_obj_with_meta(clip):
        name = engine.add_clip(clip["path"]).name
    else:
        raise InvalidInput(f"The clip is {shown(clip)}.", "Give a file, or the id of a video.")
    return parse_request({**engine.finishing_of(name, cast(FinishingStep, step)).model_dump(), **(options or {})})


def stage_frame(engine: Engine) -> Callable[..., Any]:
    def stage_frame(job_id: str, stage: str, frame: int) -> str:
        return engine.stage_frame(job_id, stage, int(frame))

    return stage_frame


def tuned_models(engine: Engine) -> Callable[..., Any]:
    def tuned_models() -> list:  # type: ignore[type-arg]
        kept = ("name", "title", "caption", "base_name", "checkpoints", "frames", "fps", "width", "height", "finished", "created")
        return [{name: getattr(record, name) for name in kept} for record in engine.tuned_models]

    return tuned_models


def domain_models(engine: Engine) -> Callable[..., Any]:
    def domain_models() -> list:  # type: ignore[type-arg]
        return [model.to_dict() for model in engine.domain_models()]

    return domain_models


def models(engine: Engine) -> Callable[..., Any]:
    def models() -> list:  # type: ignore[type-arg]
        return [{"name": name, "title": title, **engine.chosen(name).settings()} for title, name in engine.bench.choosing.models_here()]

    return models


def submit(engine: Engine) -> Callable[..., Any]:
    def submit(*values: Any) -> str:
        return engine.submit(request_of(engine, values))

    return with_fields(submit, str)


def status(engine: Engine) -> Callable[..., Any]:
    def status(job_id: str) -> Answer:
        return answer(engine.status(job_id), engine)

    return status


def stop(engine: Engine) -> Callable[..., Any]:
    def stop(job_id: str) -> Answer:
        engine.stop(job_id)
        return answer(engine.status(job_id), engine)

    return stop


def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Our errors as Gradio's: the sentence reaches the client, no traceback is printed."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def generating(*values: Any) -> Iterator[Any]:
            try:
                yield from function(*values)
            except StudioError as error:
                raise gr.Error(str(error), print_exception=False) from error

        return generating

    @wraps(function)
    def answering(*values: Any) -> Any:
        try:
            return function(*values)
        except StudioError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return answering


def answer(event: Event, engine: Engine) -> Answer:
    """An event as JSON; finished videos come as files that a client downloads, those of a wall with their places and readings, those of a
    chain with its stages."""
    state = {"CellStep": "step", "StageStep": "step"}.get(type(event).__name__, type(event).__name__.lower())
    told: Answer = {"state": state} | {
        name: value for name, value in vars(event).items() if name not in ("clips", "cells", "stages", "preview", "sample")
    }
    if isinstance(event, Done | Stopped):
        told["clips"] = [clip_answer(clip) for clip in event.clips]
    request = engine.request_of(event.job_id)
    if isinstance(request, ReferenceRequest | FinishingRequest):
        told["stages"] = [{k: v for k, v in vars(stage).items() if k != "preview"} for stage in engine.stages(event.job_id)]
    if isinstance(request, ComparisonRequest):
        places = request.cells()
        told["cells"] = [
            {"row": places[made.index].row, "column": places[made.index].column, "clip": made.clip.id, "readings": dict(made.readings)}
            for made in engine.wall(event.job_id).cells.values()
        ]
    return told


def clip_answer(clip: ClipRecord) -> Answer:
    path = str(clip.path.resolve())
    video = {"path": path, "orig_name": clip.path.name, "mime_type": "video/mp4", "meta": {"_type": "gradio.FileData"}}
    return {"id": clip.id, "video": video, "request": clip.request.model_dump(), "width": clip.width, "height": clip.height}
