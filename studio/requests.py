"""One frozen model for each kind of job: the single source of ranges, defaults, units and help.

Sliders, the API, validation and the metadata in every file come from here. No torch: the page reads this at its start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pipelines.errors import InvalidInput

from .comparison_requests import (
    AXES,
    MOST_CELLS,
    MOST_VALUES,
    PRIOR_ALONE,
    RECONSTRUCTION,
    SOURCE,
    Axis,
    Cell,
    ComparisonRequest,
    EditsRequest,
    axis_value,
    edited,
    title_of,
)
from .fields import describe_errors, shown
from .measuring_request import MeasuringRequest
from .reference_requests import ClipRequest, FinishingRequest, ReferenceRequest
from .training_requests import DomainTrainingRequest, TuningRequest
from .video_request import MAX_PROMPT, MIXING, SEEDS, TUNING, Composition, NoiseKind, StrengthSchedule, TextToVideoRequest

__all__ = [
    "AXES",
    "KINDS",
    "MAX_PROMPT",
    "MIXING",
    "MOST_CELLS",
    "MOST_VALUES",
    "PRIOR_ALONE",
    "RECONSTRUCTION",
    "SEEDS",
    "SOURCE",
    "TUNING",
    "Axis",
    "Cell",
    "ClipRequest",
    "ComparisonRequest",
    "Composition",
    "DomainTrainingRequest",
    "EditsRequest",
    "FinishingRequest",
    "MeasuringRequest",
    "NoiseKind",
    "ReferenceRequest",
    "Request",
    "StrengthSchedule",
    "TextToVideoRequest",
    "TuningRequest",
    "axis_value",
    "edited",
    "model_of",
    "parse_clip_request",
    "parse_request",
    "parse_text_to_video",
    "title_of",
]

Request = ClipRequest | ComparisonRequest | EditsRequest | DomainTrainingRequest | TuningRequest | MeasuringRequest
KINDS: dict[str, type[Any]] = {
    "text_to_video": TextToVideoRequest,
    "comparison": ComparisonRequest,
    "edits": EditsRequest,
    "domain_training": DomainTrainingRequest,
    "one_shot_tuning": TuningRequest,
    "reference": ReferenceRequest,
    "finishing": FinishingRequest,
    "measuring": MeasuringRequest,
}


def model_of(request: Request) -> str:
    """The model that a job begins with, as requests name it; "" is the studio's own."""
    first = request.base if isinstance(request, ComparisonRequest) else request
    return str(getattr(first, "model", ""))


def parse_clip_request(source: str | bytes | Mapping[str, Any]) -> ClipRequest:
    """As `parse_request`, where the settings must be those of one clip, however it was made."""
    request = parse_request(source)
    if not isinstance(request, ClipRequest):
        raise InvalidInput(f"The settings are of a job of kind {request.kind!r}.", "Give those of a video.")
    return request


def parse_text_to_video(source: str | bytes | Mapping[str, Any]) -> TextToVideoRequest:
    """As `parse_request`, where the settings must be a single video's."""
    request = parse_request(source)
    if not isinstance(request, TextToVideoRequest):
        raise InvalidInput(f"The settings are of a job of kind {request.kind!r}.", "Give those of a video made from text.")
    return request


def parse_request(source: str | bytes | Mapping[str, Any]) -> Request:
    """The request in JSON or a mapping; its `kind` decides which one.

    Raises:
        InvalidInput: naming the field, its value and what to do.
    """
    if isinstance(source, str | bytes):
        try:
            source = json.loads(source)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"The settings are not readable as JSON ({error}).", "Give the JSON of a request.") from error
    if not isinstance(source, Mapping):
        raise InvalidInput(f"The settings are {shown(source)}.", "Give an object with the fields of a request.")
    kind = source.get("kind", "text_to_video")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput(f"There is no kind of job {shown(kind)}.", f"Choose one of {', '.join(KINDS)}.")
    try:
        return KINDS[kind].model_validate(source)
    except ValidationError as error:
        raise describe_errors(error) from error
