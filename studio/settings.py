"""How the studio is started: one frozen model, filled from the command line, then the environment, then the defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .fields import describe_errors

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "PRIOR_STUDIO_"
# A Space, and anyone who knows Gradio, sets these.
GRADIO_NAMES = {"host": "GRADIO_SERVER_NAME", "port": "GRADIO_SERVER_PORT", "share": "GRADIO_SHARE"}


class Settings(BaseModel):
    """Each field is `--name` on the command line and `PRIOR_STUDIO_NAME` in the environment (without `_dir` and `_url`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 lets other machines in.")
    port: int = Field(7860, ge=1, le=65535, description="Port to listen on.")
    data_dir: Path = Field(ROOT / "outputs", description="Folder of the videos, the queue and the history.")
    model_dir: Path = Field(ROOT / "assets" / "pocket", description="Folder of the text-to-video model.")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, mps or cuda; auto takes a GPU if there is one."
    )
    database_url: str = Field("", description="SQLAlchemy address of the queue and history; SQLite in the data folder if empty.")
    clip_dir: Path | None = Field(None, description="Folder of a CLIP checkpoint; with one, walls also read how well clips fit their text.")
    share: bool = Field(False, description="Also open a public address through Gradio.")
    preview_every: float = Field(0.5, ge=0, description="Seconds between two live previews, at least; 0 shows every step and waits for it.")
    max_queue: int = Field(100, ge=1, description="Most jobs that may wait.")
    models: str = Field(
        "auto",
        pattern=r"^(auto|open|fixed)$",
        description="Whether the page may download, add and delete models: open, fixed, or auto, which is fixed where strangers come.",
    )
    gpu_seconds: int = Field(120, ge=10, le=3600, description="Most seconds that a job may ask for where a GPU is lent (ZeroGPU).")
    gpu_size: str = Field(
        "large", pattern=r"^(large|xlarge)$", description="Of the GPU that is lent (ZeroGPU): large, or xlarge for twice the price in time."
    )
    offline: bool = Field(False, description="Ask the Hub for nothing; models that are here already can be used.")
    warm_up: bool = Field(True, description="Load the model once the page is up, before the first job asks for it.")

    @field_validator("data_dir", "model_dir", "clip_dir")
    @classmethod
    def whole_path(cls, path: Path | None) -> Path | None:
        """Absolute, with ~ filled in: the same folder whatever the working directory becomes."""
        return path.expanduser().resolve() if path else None

    @property
    def models_open(self) -> bool:
        """Whether the page may change which models are here. Strangers come to a Space, and to a public address."""
        return self.models == "open" or (self.models == "auto" and not self.share and "SPACE_ID" not in os.environ)

    @property
    def database(self) -> str:
        """The address of the database."""
        return self.database_url or f"sqlite:///{self.data_dir / 'studio.db'}"

    @classmethod
    def load(cls, argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
        """Settings from the command line (None: this process's) and the environment.

        Raises:
            InvalidInput: for a value out of range, with the value.
            SystemExit: for an unknown flag, or --help.
        """
        parser = argparse.ArgumentParser(
            prog="app.py", description="Prior Studio: text-to-video diffusion in the browser.", allow_abbrev=False
        )
        values: dict[str, object] = {}
        for name, field in cls.model_fields.items():
            public = public_name(name)
            flag = argparse.BooleanOptionalAction if field.annotation is bool else "store"
            help = f"{field.description} Default: {field.default!s}."
            parser.add_argument(f"--{public.replace('_', '-')}", dest=name, action=flag, default=argparse.SUPPRESS, help=help)  # type: ignore[arg-type]
            for variable in (GRADIO_NAMES.get(name, ""), PREFIX + public.upper()):
                if variable in environ:
                    values[name] = environ[variable]
        try:
            return cls.model_validate({**values, **vars(parser.parse_args(argv))})
        except ValidationError as error:
            raise describe_errors(error) from error


def public_name(name: str) -> str:
    """The field's name outside: data, not data_dir."""
    return name.removesuffix("_dir").removesuffix("_url")
