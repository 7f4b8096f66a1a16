"""What the tests of models that are here share: tiny directories of all families, and requests that fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.engine import Engine, Event
from studio.requests import ReferenceRequest, Request, TextToVideoRequest
from tests.pipelines.directories import LAYOUTS

PROMPT = "a red ball moving left"
TEXT = [name for name, layout in LAYOUTS.items() if not layout.picture]
PICTURE = [name for name, layout in LAYOUTS.items() if layout.picture]


def settings_of(engine: Engine, model: str, layout: str, **changes: Any) -> dict[str, Any]:
    """The model's own settings, made small."""
    order = LAYOUTS[layout].order
    size = {name: order[name] for name in ("width", "height") if name in order}
    return {
        "prompt": PROMPT,
        "model": model,
        **engine.chosen(model).settings(),
        "frames": order["num_frames"],
        **size,
        "steps": 3,
    } | changes


def text_request(engine: Engine, model: str, layout: str, **changes: Any) -> TextToVideoRequest:
    return TextToVideoRequest(**settings_of(engine, model, layout, **changes))


def reference_request(engine: Engine, model: str, layout: str, **changes: Any) -> ReferenceRequest:
    return ReferenceRequest(**settings_of(engine, model, layout, **changes))


def events(engine: Engine, request: Request) -> list[Event]:
    """All that happens to a job."""
    return list(engine.watch(engine.submit(request), timeout=120))


def photograph(path: Path, width: int = 80, height: int = 60) -> Path:
    """A picture in a file."""
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path
