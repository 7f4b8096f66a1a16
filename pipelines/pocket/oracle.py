"""The oracle reads a clip's attributes back from its pixels, so that prompt following is a number and not an opinion.

    reading = Oracle.from_pretrained().read(clip)          # clip uint8 (f, 64, 64, 3), f >= 1
    reading.object, reading.motion, reading.path           # "star", "left", float (f, 2)

Colour and motion are classic vision (`tracking`). Background and style come from a small network that sees whole frames, the object
from another that sees it cut out and brought to one size. The oracle never sees a prompt, and says None rather than guess.

    python -m pipelines.pocket.oracle train                # trains it again, about two minutes
    python -m pipelines.pocket.oracle check --clips 512    # its accuracy on rendered clips it was not trained on
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..errors import InvalidInput, WeightsDamaged, WeightsMissing
from .captions import PHRASES
from .tracking import Track, find_object, read_color, read_motion
from .world import SIZE

READS = ("color", "background", "motion", "object", "style")  # what an oracle reads, in the order tables show it
LABELS = {name: tuple(PHRASES[name]) for name in ("object", "background", "style")}  # what its networks name
WEIGHTS = Path("assets/pocket/oracle")
FILE = "oracle.safetensors"
CUTOUT = 32  # pixels, side of the object cut out
LOOKS = 6  # frames of a clip that the networks look at
LEAST_CONFIDENCE = 0.5  # a network less sure than this says None


@dataclass(frozen=True)
class Reading:
    """What a clip shows; None where nothing could be made out.

    confidence: attribute -> 0..1.
    path: float (f, 2), the object's centre x, y as shares of the frame; NaN when no object was found.
    """

    object: str | None
    color: str | None
    motion: str | None
    background: str | None
    style: str | None
    confidence: dict[str, float]
    path: np.ndarray


class OracleNetworks(nn.Module):
    """Two small networks: `scene` on frames (n, 3, 64, 64), `shape` on cutouts (n, 3, 32, 32), both in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = nn.Sequential(_block(3, 24), _block(24, 48), _block(48, 72), _block(72, 96), _pool())
        self.shape = nn.Sequential(_block(3, 32, stride=1), _block(32, 64), _block(64, 96), _block(96, 128), _pool())
        self.background = nn.Linear(2 * 96, len(LABELS["background"]))
        self.style = nn.Linear(2 * 96, len(LABELS["style"]))
        self.object = nn.Linear(2 * 128, len(LABELS["object"]))

    def read_frames(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of background and style, (n, labels) each."""
        features = self.scene(frames)
        return {"background": self.background(features), "style": self.style(features)}

    def read_cutouts(self, cutouts: torch.Tensor) -> torch.Tensor:
        """Logits of the object, (n, labels)."""
        return self.object(self.shape(cutouts))


class Oracle:
    """Reads clips with trained networks and classic vision."""

    def __init__(self, networks: OracleNetworks) -> None:
        self.networks = networks.eval()

    @classmethod
    def from_pretrained(cls, path: str | Path = WEIGHTS) -> Oracle:
        """Loads the weights that ship with the repository.

        Raises:
            WeightsMissing: there is no weights file in the folder.
            WeightsDamaged: it cannot be read, or was trained for another world.
        """
        file = Path(path) / FILE
        if not file.exists():
            raise WeightsMissing(f"There is no oracle at {file}.", "Train it with `python -m pipelines.pocket.oracle train`.")
        networks = OracleNetworks()
        try:
            with safe_open(file, "pt") as stored:
                labels = json.loads((stored.metadata() or {}).get("labels", "{}"))
                weights = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118 (not a dict)
            if labels != {name: list(values) for name, values in LABELS.items()}:
                raise WeightsDamaged(f"The oracle at {file} knows other words than the pocket world.", _TRAIN_AGAIN)
            networks.load_state_dict(weights)
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise WeightsDamaged(f"The oracle at {file} cannot be read: {error}.", _TRAIN_AGAIN) from error
        return cls(networks)

    def save_pretrained(self, path: str | Path = WEIGHTS) -> None:
        """Writes the weights in half precision, with their labels."""
        Path(path).mkdir(parents=True, exist_ok=True)
        weights = {
            name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in self.networks.state_dict().items()
        }
        save_file(weights, Path(path) / FILE, {"labels": json.dumps(LABELS), "format": "pt"})

    def read(self, clip: np.ndarray) -> Reading:
        """Reads one clip uint8 (f, 64, 64, 3). A single frame has no motion."""
        return self.read_batch([clip])[0]

    @torch.no_grad()
    def read_batch(self, clips: Sequence[np.ndarray]) -> list[Reading]:
        """Reads clips, whose numbers of frames may differ. Raises InvalidInput for anything but uint8 (f, 64, 64, 3)."""
        for clip in clips:
            if clip.ndim != 4 or clip.shape[0] < 1 or clip.shape[1:] != (SIZE, SIZE, 3) or clip.dtype != np.uint8:
                raise InvalidInput(f"The oracle was given {clip.dtype} {clip.shape}.", f"It reads uint8 (frames, {SIZE}, {SIZE}, 3).")
        tracks = [find_object(clip) for clip in clips]
        seen = self._read_scenes(clips)
        objects = self._read_objects(clips, tracks)
        return [_reading(*parts) for parts in zip(clips, tracks, seen, objects, strict=True)]

    def _read_scenes(self, clips: Sequence[np.ndarray]) -> list[dict[str, torch.Tensor]]:
        """Per clip, the mean logits of background and style over a few frames."""
        looks = [clip[_spread(len(clip))] for clip in clips]
        logits = self.networks.read_frames(to_tensor(np.concatenate(looks)))
        split = {name: values.split([len(look) for look in looks]) for name, values in logits.items()}
        return [{name: values[i].mean(0) for name, values in split.items()} for i in range(len(clips))]

    def _read_objects(self, clips: Sequence[np.ndarray], tracks: Sequence[Track]) -> list[torch.Tensor | None]:
        """Per clip, the mean logits over cutouts of its object, or None where none was found."""
        cutouts = [_cutouts(clip, track) for clip, track in zip(clips, tracks, strict=True)]
        found = [look for look in cutouts if len(look)]
        if not found:
            return [None] * len(clips)
        means = iter([part.mean(0) for part in self.networks.read_cutouts(to_tensor(np.concatenate(found))).split([len(c) for c in found])])
        return [next(means) if len(look) else None for look in cutouts]


def cut_out(frame: np.ndarray, mask: np.ndarray, wider: float = 1.0, aside: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """The masked object with some surroundings, uint8 (32, 32, 3).

    Args:
        wider: factor on the side of the cut square.
        aside: shift of its centre in shares of its side.
    """
    y, x = np.nonzero(mask)
    side = max(int(np.ptp(x)) + 1, int(np.ptp(y)) + 1, 6) * 1.5 * wider
    left = (x.min() + x.max()) / 2 - side * (0.5 - aside[0])
    top = (y.min() + y.max()) / 2 - side * (0.5 - aside[1])
    scale = CUTOUT / side
    place = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    return cv2.warpAffine(np.ascontiguousarray(frame), place, (CUTOUT, CUTOUT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> float (n, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


_TRAIN_AGAIN = "Restore it from the repository, or train it with `python -m pipelines.pocket.oracle train`."


def _block(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class _Pool(nn.Module):
    """(n, c, h, w) -> (n, 2 c): the mean and the maximum of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def _pool() -> nn.Module:
    return _Pool()


def _spread(count: int) -> np.ndarray:
    """At most LOOKS indices, evenly spread over `count`."""
    return np.unique(np.linspace(0, count - 1, LOOKS).round().astype(int))


def _cutouts(clip: np.ndarray, track: Track) -> np.ndarray:
    """A few cutouts from the frames where the object is seen and not smaller than it mostly is: uint8 (n, 32, 32, 3), n may be 0."""
    if not track.found:
        return np.empty((0, CUTOUT, CUTOUT, 3), np.uint8)
    large = np.flatnonzero(track.seen & (track.radius >= np.median(track.radius[track.seen])))
    return np.stack([cut_out(clip[i], track.mask[i]) for i in large[_spread(len(large))]])


def _reading(clip: np.ndarray, track: Track, scene: dict[str, torch.Tensor], thing: torch.Tensor | None) -> Reading:
    color = read_color(clip, track)
    if color[0] is None:
        thing = None  # without a colour of its own it is no thing but noise
    values: dict[str, tuple[str | None, float]] = {
        "object": (None, 0.0) if thing is None else _name(thing, "object"),
        "color": color,
        "motion": read_motion(clip, track),
        "background": _name(scene["background"], "background"),
        "style": _name(scene["style"], "style"),
    }
    return Reading(
        **{name: value for name, (value, _) in values.items()},  # type: ignore[arg-type]
        confidence={name: sure for name, (_, sure) in values.items()},
        path=track.centre,
    )


def _name(logits: torch.Tensor, attribute: str) -> tuple[str | None, float]:
    chances = logits.softmax(0)
    best = int(chances.argmax())
    sure = float(chances[best])
    return (LABELS[attribute][best], sure) if sure >= LEAST_CONFIDENCE else (None, sure)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line: train or check."""
    from . import oracle_training

    parser = argparse.ArgumentParser(prog="python -m pipelines.pocket.oracle", description="The pocket world's oracle.")
    commands = parser.add_subparsers(required=True)
    train = commands.add_parser("train", help="train the oracle's networks again")
    train.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights (default: %(default)s)")
    train.add_argument("--clips", type=int, default=6000, help="rendered clips to learn from (default: %(default)s)")
    train.add_argument("--steps", type=int, default=600, help="training steps (default: %(default)s)")
    train.set_defaults(run=lambda a: oracle_training.train(a.clips, a.steps).save_pretrained(a.out))
    check = commands.add_parser("check", help="print the accuracy on rendered clips it was not trained on")
    check.add_argument("--clips", type=int, default=512, help="number of clips (default: %(default)s)")
    check.add_argument("--seed", type=int, default=1, help="of the clips (default: %(default)s)")
    check.add_argument("--model", type=Path, default=WEIGHTS, help="folder of the weights (default: %(default)s)")
    check.set_defaults(run=lambda a: oracle_training.print_check(Oracle.from_pretrained(a.model), a.clips, a.seed))
    chosen = parser.parse_args(arguments)
    chosen.run(chosen)


if __name__ == "__main__":
    main()
