"""Endpoints whose parameters are the fields of a video's request: names, types and defaults, as Gradio reads them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from ..engine import Engine
from ..requests import TextToVideoRequest, parse_text_to_video

OWN_SETTINGS = ("frames", "fps", "steps", "guidance_scale", "sampler", "noise_kind", "noise_alpha")  # of each model


def with_fields(function: Callable[..., Any], returns: type = dict) -> Callable[..., Any]:
    """Gives a function of `*values` the request's fields as its parameters; Gradio reads names, types and defaults from there.

    What each model has its own settings for is None unless it is given: the model's.
    """
    hints = {name: hint for name, hint in get_type_hints(TextToVideoRequest).items() if name in field_names()}
    defaults = {name: field.default for name, field in TextToVideoRequest.model_fields.items() if not field.is_required()}
    hints |= {name: hints[name] | None for name in OWN_SETTINGS}
    defaults |= dict.fromkeys(OWN_SETTINGS)
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    parameters = [inspect.Parameter(name, kind, default=defaults.get(name, empty), annotation=hint) for name, hint in hints.items()]
    function.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    function.__annotations__ = {**hints, "return": returns}
    return function


def field_names() -> list[str]:
    return [name for name in TextToVideoRequest.model_fields if name != "kind"]


def request_of(engine: Engine, values: tuple[Any, ...]) -> TextToVideoRequest:
    given = {name: value for name, value in zip(field_names(), values, strict=True) if value is not None or name not in OWN_SETTINGS}
    return parse_text_to_video(engine.completed(given))
