"""The pocket model's card, written from what was measured: loss curves of a run and an evaluation."""

from __future__ import annotations

import csv
import json
from itertools import cycle
from pathlib import Path
from typing import Any

from ..checkpoints import read_defaults

WIDTH, HEIGHT, MARGIN = 720, 260, 44
COLORS = ("#7c8cff", "#ffb454", "#5ad1a0", "#ff6b8b", "#c79bff", "#6fd3ff")

CARD = """---
license: apache-2.0
library_name: diffusers
tags: [text-to-video, prior-studio]
---

# The pocket model

A text-to-video model of {parameters:.1f} million parameters that ships inside the repository: 16 frames of 64 x 64 pixels at 8 frames a
second, in seconds on two CPU cores. It lives in the pocket world: 8 objects, 8 colours, 2 sizes, 9 motions, 6 backgrounds, and the
styles flat and pixel. Everything it has seen was rendered by `pipelines/pocket/world.py`; no other picture or video was used.

    from pipelines.text_to_video import TextToVideoPipeline
    frames = TextToVideoPipeline.from_pretrained("assets/pocket")("a red ball moving left over the sea, flat cartoon").frames

## Parts

| part | class | what |
|---|---|---|
| text_encoder | `CLIPTextModel` | 2 layers, 128 wide; one token a word |
| vae | `PatchAutoencoder` | 64 principal components of 8 x 8 pixel patches |
| unet | `VideoUNet` | (96, 192) channels; temporal convolutions and attention, frame positions, frame rate, given frames |
| scheduler | `DDIMScheduler` | x0-prediction, linear betas to 0.025 (sigma / alpha = 518) |

## Recipe

Make-A-Video's order: a text-to-image model on single frames; inflation; a motion stage at the noisiest timesteps, where paths are
decided; then clips of 4, 8 and 16 frames spanning the same two seconds (a frame-rate curriculum), and at last 8 and 16 frames in turn
for shapes; two fifths of all batches stay single frames. Most timesteps lie where shapes and paths are decided, at sigma / alpha from 4
to 130. Noise of clips: PYoCo's progressive prior, alpha 2.
In four of ten clips some frames are given clean (the first, first and last, every k-th, the first k).
One in ten (object, colour, background) triples is held out of training, and the evaluation asks for nothing else.
The network never sees the styles sketch and neon (only the patch basis is fitted on all four): they are kept for small domain models.

    python -m pipelines.pocket train --out RUN --minutes 240        # the same on a CPU or a GPU; resumes after a kill
    python -m pipelines.pocket evaluate --model RUN/model --prompts 256 --json RUN/evaluation.json --sheet RUN/sheet.png
    python -m pipelines.pocket card --run RUN --evaluation RUN/evaluation.json --model RUN/model

{history}

![Training loss](curve.svg)

## What it reaches

{prompts} held-out prompts, {steps} steps, guidance {guidance}, read by the oracle (`assets/pocket/oracle`); the right column is what the
oracle reads from rendered clips of the same prompts.

| attribute | right | rendered clips |
|---|---|---|
{table}

By motion: {by_motion}.

By object: {by_object}.

## Limits

It knows {words} words, and no others: the studio names the words of a prompt that it has never seen. It draws one object, in one of nine
motions, for two seconds. It was trained on 4, 8 and 16 frames at 1.6, 4 and 8 frames a second. Fine detail is limited by the patch
components ({psnr} dB on its own world).
"""


def write_card(run: Path, folder: Path, evaluation: Path, history: str) -> None:
    """Writes README.md and curve.svg into a model directory.

    Args:
        run: folder of a training run with `*/loss.csv`.
        folder: the model directory.
        evaluation: JSON that `evaluate` wrote.
        history: how these weights came about, in Markdown.
    """
    result = json.loads(evaluation.read_text())
    ceiling, defaults = result["ceiling"], read_defaults(folder)
    rows = [f"| {name} | {value:.1%} | {ceiling[name]:.1%} |" for name, value in result["accuracy"].items()]
    text = CARD.format(
        history=history.strip(),
        table="\n".join(rows),
        by_motion=_shares(result["by_motion"]),
        by_object=_shares(result["by_object"]),
        prompts=result["prompts"],
        steps=result["settings"]["num_inference_steps"] or defaults.num_inference_steps,
        guidance=result["settings"]["guidance_scale"] or defaults.guidance_scale,
        **_facts(folder),
    )
    (folder / "README.md").write_text(text)
    (folder / "curve.svg").write_text(loss_curve(sorted(run.glob("*/loss.csv"), key=lambda p: p.stat().st_mtime)))


def _facts(folder: Path) -> dict[str, Any]:
    """What the model itself says: `parameters` in millions, `words`, and the autoencoder's `psnr` in dB on rendered clips."""
    import numpy as np
    import torch

    from ..checkpoints import load_text_to_video
    from .captions import random_attributes, word_list
    from .world import render

    pipe = load_text_to_video(folder)
    rng = np.random.default_rng(0)
    frames = np.concatenate([render(random_attributes(rng, held_out=True), rng)[::5] for _ in range(100)])
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        error = (pipe.vae.decode(pipe.vae.encode(images).latent_dist.mode()).sample - images).square().mean().item()
    count = sum(p.numel() for part in (pipe.unet, pipe.text_encoder, pipe.vae) for p in part.parameters())
    return {"parameters": count / 1e6, "words": len(word_list()) - 4, "psnr": f"{10 * np.log10(4 / error):.1f}"}


def _shares(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0%}" for name, value in values.items())


def loss_curve(logs: list[Path]) -> str:
    """An SVG of the losses of stages, one after another."""
    stages = {log.parent.name: [(float(r["seconds"]) / 60, float(r["loss"])) for r in csv.DictReader(log.open())] for log in logs}
    stages = {name: smooth(points) for name, points in stages.items() if points}
    total = sum(points[-1][0] for points in stages.values())
    top = max(loss for points in stages.values() for _, loss in points)
    bottom = min(loss for points in stages.values() for _, loss in points)
    parts, start = [], 0.0
    for (name, points), color in zip(stages.items(), cycle(COLORS), strict=False):
        xy = [(_x(start + minutes, total), _y(loss, bottom, top)) for minutes, loss in points]
        parts.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in xy)}"/>')
        parts.append(f'<text x="{xy[0][0]:.0f}" y="{MARGIN - 16}" fill="{color}">{name}</text>')
        start += points[-1][0]
    labels = "".join(f'<text x="4" y="{_y(v, bottom, top):.0f}">{v:.2f}</text>' for v in (bottom, top))
    labels += "".join(f'<text x="{_x(m, total):.0f}" y="{HEIGHT - 12}">{m:.0f} min</text>' for m in (0, total / 2, total))
    style = '<style>text{font:12px sans-serif;fill:#888}</style><rect width="100%" height="100%" fill="#16171d"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{style}{"".join(parts)}{labels}</svg>\n'


def smooth(points: list[tuple[float, float]], width: int = 5) -> list[tuple[float, float]]:
    """A running mean of the losses."""
    means = []
    for i, (minutes, _) in enumerate(points):
        window = [loss for _, loss in points[max(0, i - width + 1) : i + 1]]
        means.append((minutes, sum(window) / len(window)))
    return means


def _x(minutes: float, total: float) -> float:
    return MARGIN + minutes / max(total, 1e-9) * (WIDTH - 2 * MARGIN)


def _y(loss: float, bottom: float, top: float) -> float:
    return HEIGHT - MARGIN - (loss - bottom) / max(top - bottom, 1e-9) * (HEIGHT - 2 * MARGIN)
