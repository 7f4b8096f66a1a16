"""What every kind of job shares: the job while it runs, and the bench it is made on. No torch until something is made."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pipelines.domain_models import DomainModel, list_domain_models
from pipelines.errors import InvalidInput

from . import __version__
from .bases import Bases
from .cells import Walls
from .choosing import Choosing, Chosen
from .events import Event
from .history import History
from .models import Models
from .requests import ComparisonRequest, Request, TextToVideoRequest, model_of
from .residency import ModelPool
from .settings import Settings
from .sources import Sources
from .stages import Stages
from .tuned_models import TunedModels

Tell = Callable[[Event], None]


@dataclass
class Making:
    """A job while it runs; `stop` may be set from any thread."""

    job_id: str
    request: Request
    settings: Settings
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def previews(self) -> Path:
        """The folder of live previews; only the running job has any."""
        return self.settings.data_dir / "previews"


@dataclass(frozen=True)
class Bench:
    """What a job is made with.

    Args:
        settings: where everything is.
        pool: the models.
        history: takes the videos.
        walls: takes the cells of comparisons.
        models: those that are here.
        tell: takes events.
    """

    settings: Settings
    pool: ModelPool
    history: History
    walls: Walls
    models: Models
    tell: Tell

    @property
    def choosing(self) -> Choosing:
        """Which model a request means."""
        return Choosing(self.models)

    @property
    def tuned_models(self) -> TunedModels:
        """Models that were tuned on one clip each."""
        return TunedModels(self.settings.data_dir / "tuned_models")

    @property
    def bases(self) -> Bases:
        """Which models they belong to."""
        return Bases(self.choosing, self.pool.base)

    def model_for(self, request: Request) -> Chosen:
        """The model that a job begins with: that of the request, and of an edit the one that was tuned on its clip.

        Raises:
            InvalidInput: when there is no such tuned model.
            ModelError: when there is no such model, or it cannot be used.
        """
        first = request.base if isinstance(request, ComparisonRequest) else request
        if isinstance(first, TextToVideoRequest) and first.tuned_model:
            return self.bases.of(self.tuned_models.get(first.tuned_model))
        return self.choosing.model(model_of(request))

    @property
    def sources(self) -> Sources:
        """Pictures and clips that jobs start from."""
        return Sources(self.settings.data_dir, self.settings.model_dir, self.history)

    @property
    def stages(self) -> Stages:
        """What the stages of chains have made."""
        return Stages(self.settings.data_dir / "stages")

    def domain_models(self) -> list[DomainModel]:
        """Those that ship with the resident model, then a person's own."""
        return list_domain_models(self.settings.model_dir / "adapters", self.settings.data_dir / "domain_models")

    def domain_model(self, name: str) -> DomainModel:
        """The domain model of that name.

        Raises:
            InvalidInput: when there is none.
        """
        known = {model.name: model for model in self.domain_models()}
        if name not in known:
            remedy = f"Choose one of {', '.join(known)}." if known else "Train one first."
            raise InvalidInput(f"There is no domain model {name!r}.", remedy)
        return known[name]


def fingerprint(weights: Mapping[str, str]) -> str:
    """One short name for all the weights that made a video."""
    return hashlib.sha256(json.dumps(dict(weights), sort_keys=True).encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Of everything that decides how a video looks."""
    return {"prior-studio": __version__, **{name: _version(name) for name in ("torch", "diffusers", "transformers")}}


_version = cache(version)  # is read from files
