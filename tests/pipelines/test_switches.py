"""What a model could have is known before it is loaded, and is what it says once it is."""

from __future__ import annotations

import pytest

from pipelines import families
from pipelines.speed import Speed, cannot
from pipelines.switches import CHOICES, refused
from tests.pipelines.directories import LAYOUTS, saved

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_directory_is_refused_what_its_loaded_model_is_refused(layout: str) -> None:
    folder = saved(layout)
    model, found = families.load(folder), refused(folder, "cpu")
    for switch in set(CHOICES) - {"precision"}:
        said = {choice: cannot(model, Speed(**{switch: choice}, ratios=(1.0,))).get(switch, "") for choice in CHOICES[switch]}
        assert found[switch] == {choice: reason for choice, reason in said.items() if reason}


def test_a_precision_is_refused_for_the_device_alone() -> None:
    folder = saved("wan")
    assert list(refused(folder, "cpu")["precision"]) == ["float16"]
    assert refused(folder, "cuda")["precision"] == {}


def test_offloading_is_refused_on_a_cpu_and_for_what_must_be_on_the_device_as_a_whole() -> None:
    folder, own = saved("wan"), saved("studio")
    assert all("On a CPU nothing is gained" in why for why in refused(folder, "cpu")["offload"].values())
    assert refused(folder, "cuda")["offload"] == refused(folder, "cuda")["tiled"] == refused(folder, "cuda")["sliced"] == {}
    found = refused(own, "cuda")
    assert all("tuned and finished with" in why for why in found["offload"].values())
    assert found["tiled"] == {True: "Its autoencoder cannot decode in tiles."}
    assert found["sliced"] == {True: "Its autoencoder cannot decode frame by frame."}
