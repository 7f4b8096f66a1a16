"""A chain with stages that need no model: what is told, what is found again, what a stop and a damaged result do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from studio.chain import Chain, Planned, Ticker
from studio.engine import Engine
from studio.events import StageStep
from studio.making import Making
from studio.settings import Settings
from studio.stages import Stages
from tests.studio.chains import SHORT, moving


class Workbench:
    """A chain's surroundings, and which stages were really made."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.told: list[StageStep] = []
        self.made: list[str] = []

    def chain(self, job_id: str = "job") -> Chain:
        making = Making(job_id, SHORT, self.engine.settings)
        bench = replace(self.engine.bench, tell=self.told.append)  # type: ignore[arg-type]
        chain = Chain(making, bench, seed=3)
        chain.give("clip", moving(3), 8.0)
        return chain

    def stage(self, name: str, after: str, stop: Chain | None = None, **decides: Any) -> Planned:
        """Turns the colours round, in two steps; may be stopped after the first."""

        def make(before: np.ndarray, ticker: Ticker) -> np.ndarray:
            self.made.append(name)
            if stop:
                stop.making.stop.set()
            _ = ticker.tick() and ticker.tick()
            return 255 - before

        return Planned(name, (after,), decides, {"network": "hash"}, 8.0, 2, 1.0, make)

    def plan(self, **changes: Any) -> list[Planned]:
        return [self.stage("longer", "clip", more=1), self.stage("smooth", "longer", **changes)]


@pytest.fixture
def work(settings: Settings) -> Iterator[Workbench]:
    engine = Engine(settings)
    yield Workbench(engine)
    engine.close()


def test_each_stage_is_made_from_the_one_before(work: Workbench) -> None:
    chain = work.chain()
    made = chain.run(work.plan())
    assert made is not None
    assert (made == moving(3)).all()
    assert (chain.stages.frames(chain.made["longer"][0]) == 255 - moving(3)).all()


def test_every_step_is_told_with_the_stages_that_are_there(work: Workbench) -> None:
    work.chain().run(work.plan())
    assert [(step.stage, step.index, len(step.stages)) for step in work.told] == [
        ("longer", 0, 1),
        ("longer", 1, 1),
        ("longer", 2, 1),
        ("longer", 2, 2),
        ("smooth", 0, 2),
        ("smooth", 1, 2),
        ("smooth", 2, 2),
        ("smooth", 2, 3),
    ]
    assert work.told[0].seconds_left is None
    assert work.told[-1].seconds_left == 0


def test_a_second_run_makes_only_what_changed(work: Workbench) -> None:
    work.chain().run(work.plan(way="a"))
    chain = work.chain("other")
    chain.run(work.plan(way="b"))
    assert work.made == ["longer", "smooth", "smooth"]
    assert {name: cached for name, (_, cached) in chain.made.items()} == {"clip": True, "longer": True, "smooth": False}


def test_a_stopped_stage_is_not_kept_and_those_before_are(work: Workbench) -> None:
    chain = work.chain()
    first, second = work.plan()
    assert chain.run([first, work.stage("smooth", "longer", stop=chain)]) is None
    assert [made.name for made in Stages(chain.stages.folder).of_job("job")] == ["clip", "longer"]
    assert work.chain().run([first, second]) is not None
    assert work.made == ["longer", "smooth", "smooth"]


def test_a_damaged_result_is_made_again_with_all_that_needs_it(work: Workbench) -> None:
    first = work.chain()
    first.run(work.plan())
    (first.made["longer"][0].folder / "frames.mkv").write_bytes(b"")
    made = work.chain().run(work.plan(way="other"))
    assert made is not None
    assert (made == moving(3)).all()
    assert work.made == ["longer", "smooth", "longer", "smooth"]
