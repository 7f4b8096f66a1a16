"""The example clips that greet a person before the first run: real clips of the shipped model, with their settings inside.

python -m studio.examples           makes assets/examples again, through the engine
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import InvalidInput, JobError
from pipelines.pocket.captions import example_prompts

from .requests import Request, TextToVideoRequest, parse_text_to_video
from .settings import ROOT, Settings

if TYPE_CHECKING:
    from .engine import Engine
    from .events import Done

FOLDER = ROOT / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """A shipped clip.

    Args:
        name: its file name without the ending.
        video: the MP4.
        request: what made it.
    """

    name: str
    video: Path
    request: TextToVideoRequest


def examples(folder: Path = FOLDER) -> list[Example]:
    """Whatever clips are in the folder, by name. Each MP4 lies beside a JSON of its request; one without, or unreadable, is left out."""
    found = []
    for video in sorted(folder.glob("*.mp4")):
        try:
            found.append(Example(video.stem, video, parse_text_to_video(video.with_suffix(".json").read_bytes())))
        except (OSError, InvalidInput):
            continue
    return found


def make_examples(folder: Path, model_dir: Path, seed: int = 0) -> list[Path]:
    """Makes a clip of each example prompt.

    Raises:
        JobError: when one fails.
    """
    made = []
    folder.mkdir(parents=True, exist_ok=True)
    with temporary_studio(model_dir) as engine:
        for i, prompt in enumerate(example_prompts(), start=1):
            clip = finished(engine, TextToVideoRequest(prompt=prompt, seed=seed + i)).clips[0]
            target = folder / f"{i:02}.mp4"
            shutil.copyfile(clip.path, target)
            target.with_suffix(".json").write_text(clip.request.model_dump_json(indent=2) + "\n", encoding="utf-8")
            made.append(target)
    return made


@contextmanager
def temporary_studio(model_dir: Path) -> Iterator[Engine]:
    """An engine whose data nobody keeps."""
    from .engine import Engine

    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(data_dir=Path(data), model_dir=model_dir))
        engine.start()
        try:
            yield engine
        finally:
            engine.close()


def finished(engine: Engine, request: Request) -> Done:
    """Waits for a job. Raises JobError when it fails."""
    from .events import Done

    *_, last = engine.watch(engine.submit(request))
    if not isinstance(last, Done):
        raise JobError(f"The example {request.headline!r} was not made ({last}).", "Look at the log above.")
    return last


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.examples", description="Makes the example clips of the page again.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="Folder to write to.")
    parser.add_argument("--model", type=Path, default=Settings().model_dir, help="Folder of the model.")
    parser.add_argument("--seed", type=int, default=0, help="The first clip's seed is one more.")
    options = parser.parse_args()
    for path in make_examples(options.out, options.model, options.seed):
        print(path)


if __name__ == "__main__":
    main()
