"""The cards of what finishes the pocket model's clips: what it is, what it learned from, and the command that made it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from .card import loss_curve

CARD = """---
license: apache-2.0
library_name: diffusers
tags: [text-to-video, prior-studio]
---

# {title}

{text} {parameters:,} parameters.

Trained for {minutes:g} minutes ({steps:,} steps) on clips rendered by `pipelines/pocket/world.py` as they are needed; one in ten (object,
colour, background) triples is held out. Made with

    python -m pipelines.pocket finisher {what} --out RUN --minutes {minutes:g}

and measured with

    python -m pipelines.pocket finishing {measure}

whose numbers are in the README of the repository.

![Training loss](curve.svg)
"""

ABOUT = {
    "flow": (
        "The frame between two",
        "The temporal super-resolution of VideoGen (arXiv 2309.00398) for the pocket model: it reads the latents of two neighbouring "
        "frames, corrects the optical flow between them, blends, and adds what no warping can bring (`pipelines/latent_flow.py`).",
        "interpolation",
    ),
    "frames": (
        "The pocket model for given frames",
        "The pocket model's network, trained further with given frames in every clip (Make-A-Video, arXiv 2209.14792, section 3.3): it "
        "brings a picture to life, continues a clip and fills frames in (`pipelines/interpolation.py`). Text encoder and autoencoder are "
        "the pocket model's.",
        "interpolation  # or continuation, or reference",
    ),
    "decoder": (
        "The pocket model's video decoder",
        "Latents of a clip to its frames, seen together and not one by one (VideoGen, arXiv 2309.00398): it starts as the frame decoder "
        "and learns from clips without captions, the encoder frozen (`pipelines/decoder.py`).",
        "decoder",
    ),
    "upscaler": (
        "Twice the size",
        "Spatial super-resolution by 2, a small diffusion network that gets the small clip; all frames share one noise map, so that detail "
        "does not flicker (Make-A-Video, arXiv 2209.14792, section 3.2; `pipelines/upscaling.py`).",
        "upscaler",
    ),
}


def write_card(what: str, run: Path, minutes: float) -> None:
    """README.md and curve.svg beside the weights in `run / "model"`; without a loss to tell of, no curve.

    Args:
        what: a key of `ABOUT`.
        run: folder of the run, with `loss.csv`.
        minutes: that were trained.
    """
    title, text, measure = ABOUT[what]
    folder, log = run / "model", run / "loss.csv"
    steps = [int(row["step"]) for row in csv.DictReader(log.open())]
    card = CARD.format(
        what=what,
        title=title,
        text=text,
        measure=measure,
        minutes=minutes,
        steps=steps[-1] if steps else 0,
        parameters=sum(map(_parameters, folder.glob("*.safetensors"))),
    )
    if steps:
        (folder / "curve.svg").write_text(loss_curve([log]))
    else:
        card = card.replace("\n![Training loss](curve.svg)\n", "")
    (folder / "README.md").write_text(card)
    for config in folder.glob("config.json"):
        kept = {name: value for name, value in json.loads(config.read_text()).items() if name != "_name_or_path"}  # a path of this machine
        config.write_text(json.dumps(kept, indent=2) + "\n")


def _parameters(weights: Path) -> int:
    """How many numbers a safetensors file holds."""
    from math import prod

    from safetensors import safe_open

    with safe_open(weights, framework="pt") as tensors:
        return sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118  (no mapping)
