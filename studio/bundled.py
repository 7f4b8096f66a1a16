"""A few clips to tune on without having any: rendered by the pocket world when somebody asks for one."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InvalidInput
from pipelines.pocket.captions import Attributes, plain_caption

from . import media

FPS = 8
CLIPS = {
    "star": Attributes(object="star", color="red", size="big", motion="right", background="hills", style="flat"),
    "fish": Attributes(object="fish", color="orange", size="small", motion="left", background="sea", style="pixel"),
    "heart": Attributes(object="heart", color="purple", size="big", motion="down", background="night", style="flat"),
    "rocket": Attributes(object="rocket", color="cyan", size="small", motion="up", background="city", style="pixel"),
}


def caption(name: str) -> str:
    """What a bundled clip shows.

    Raises:
        InvalidInput: when there is none of that name.
    """
    if name not in CLIPS:
        raise InvalidInput(f"There is no bundled clip {name!r}.", f"Choose one of {', '.join(CLIPS)}.")
    return plain_caption(CLIPS[name])


def clip(name: str, folder: Path) -> Path:
    """The clip as a file in the folder, rendered when it is first asked for.

    Raises:
        InvalidInput: when there is none of that name.
        StorageError: when there is no room.
    """
    told, path = caption(name), folder / f"{name}.mp4"
    if not path.exists():
        import numpy as np

        from pipelines.pocket.world import render

        media.write_mp4(render(CLIPS[name], np.random.default_rng(list(CLIPS).index(name))), FPS, path, "", {"caption": told})
    return path
