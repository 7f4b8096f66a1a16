"""The same jobs by API, for `gradio_client` and plain HTTP: the request's fields are the parameters of the endpoint.

client = gradio_client.Client("http://127.0.0.1:7860")
client.predict(prompt="a red ball moving left", api_name="/text_to_video")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import wraps
from typing import Any, get_type_hints

import gradio as gr

from pipelines.errors import StudioError

from ..engine import Engine
from ..events import Done, Event, Failed, Stopped
from ..history import ClipRecord
from ..requests import TextToVideoRequest, parse_request

Answer = dict[str, Any]


def render(engine: Engine) -> None:
    """Adds the endpoints to the page that is being built."""
    endpoints = {
        "text_to_video": (text_to_video(engine), "Makes a video and waits for it; a client that iterates sees the progress."),
        "submit": (submit(engine), "Queues a video and returns the id of its job at once."),
        "status": (status(engine), "Where a job is now."),
        "stop": (stop(engine), "Stops a running job within a step, or takes a waiting one out of the queue."),
    }
    for name, (function, description) in endpoints.items():
        gr.api(refusing(function), api_name=name, api_description=description, concurrency_limit=None)


def text_to_video(engine: Engine) -> Callable[..., Any]:
    def text_to_video(*values: Any) -> Iterator[Answer]:
        for event in engine.watch(engine.submit(request_of(values))):
            if isinstance(event, Failed):
                raise gr.Error(event.error, print_exception=False)
            yield answer(event)

    return with_fields(text_to_video)


def submit(engine: Engine) -> Callable[..., Any]:
    def submit(*values: Any) -> str:
        return engine.submit(request_of(values))

    return with_fields(submit, str)


def status(engine: Engine) -> Callable[..., Any]:
    def status(job_id: str) -> Answer:
        return answer(engine.status(job_id))

    return status


def stop(engine: Engine) -> Callable[..., Any]:
    def stop(job_id: str) -> Answer:
        engine.stop(job_id)
        return answer(engine.status(job_id))

    return stop


def with_fields(function: Callable[..., Any], returns: type = dict) -> Callable[..., Any]:
    """Gives a function of `*values` the request's fields as its parameters; Gradio reads names, types and defaults from there."""
    hints = {name: hint for name, hint in get_type_hints(TextToVideoRequest).items() if name in field_names()}
    defaults = {name: field.default for name, field in TextToVideoRequest.model_fields.items() if not field.is_required()}
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    parameters = [inspect.Parameter(name, kind, default=defaults.get(name, empty), annotation=hint) for name, hint in hints.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    function.__annotations__ = {**hints, "return": returns}
    return function


def field_names() -> list[str]:
    return [name for name in TextToVideoRequest.model_fields if name != "kind"]


def request_of(values: tuple[Any, ...]) -> TextToVideoRequest:
    return parse_request(dict(zip(field_names(), values, strict=True)))


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


def answer(event: Event) -> Answer:
    """An event as JSON; finished videos come as files that a client downloads."""
    state = type(event).__name__.lower()
    if isinstance(event, Done | Stopped):
        return {"state": state, "job_id": event.job_id, "clips": [clip_answer(clip) for clip in event.clips]}
    return {"state": state} | {name: value for name, value in asdict(event).items() if name != "preview"}


def clip_answer(clip: ClipRecord) -> Answer:
    path = str(clip.path.resolve())
    video = {"path": path, "orig_name": clip.path.name, "mime_type": "video/mp4", "meta": {"_type": "gradio.FileData"}}
    return {"id": clip.id, "video": video, "request": clip.request.model_dump(), "width": clip.width, "height": clip.height}
