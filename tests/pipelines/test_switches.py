"""What a model could have is known before it is loaded, and is what it says once it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import families
from pipelines.speed import Speed, cannot
from pipelines.switches import CHOICES, refused
from tests.pipelines.directories import LAYOUTS, save

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_directory_is_refused_what_its_loaded_model_is_refused(layout: str, tmp_path: Path) -> None:
    folder = save(layout, tmp_path / "model")
    model, found = families.load(folder), refused(folder, "cpu")
    for switch in ("weights", "attention", "cache", "compiled"):
        said = {choice: cannot(model, Speed(**{switch: choice})).get(switch, "") for choice in CHOICES[switch]}
        assert found[switch] == {choice: reason for choice, reason in said.items() if reason}


def test_a_precision_is_refused_for_the_device_alone(tmp_path: Path) -> None:
    folder = save("wan", tmp_path / "model")
    assert list(refused(folder, "cpu")["precision"]) == ["float16"]
    assert refused(folder, "cuda")["precision"] == {}
