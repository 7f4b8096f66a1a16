"""Settings: command line over environment over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from studio.settings import ROOT, Settings


def test_without_anything_said_the_studio_is_local_and_on_the_pocket_model() -> None:
    settings = Settings.load([], {})
    assert (settings.host, settings.port, settings.share) == ("127.0.0.1", 7860, False)
    assert settings.model_dir == ROOT / "assets" / "pocket"


def test_the_command_line_wins_over_the_environment() -> None:
    environ = {"PRIOR_STUDIO_PORT": "8000", "PRIOR_STUDIO_DATA": "/videos"}
    settings = Settings.load(["--port", "9000"], environ)
    assert (settings.port, settings.data_dir) == (9000, Path("/videos"))


def test_the_environment_of_a_space_is_followed() -> None:
    assert Settings.load([], {"GRADIO_SERVER_NAME": "0.0.0.0"}).host == "0.0.0.0"


def test_folders_are_whole_paths() -> None:
    settings = Settings.load(["--data", "~/videos", "--model", "assets/pocket"], {})
    assert settings.data_dir == (Path.home() / "videos").resolve()
    assert settings.model_dir == Path("assets/pocket").resolve()


def test_flags_can_be_switched_off() -> None:
    assert Settings.load(["--no-warm-up"], {}).warm_up is False


def test_the_database_lies_in_the_data_folder_unless_told_otherwise() -> None:
    assert Settings(data_dir=Path("/videos")).database == "sqlite:////videos/studio.db"
    assert Settings(database_url="sqlite://").database == "sqlite://"


@pytest.mark.parametrize(("flag", "value"), [("--port", "0"), ("--port", "many"), ("--device", "abacus"), ("--preview-every", "-1")])
def test_a_bad_value_is_named(flag: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"{value}"):
        Settings.load([flag, value], {})


def test_every_setting_has_a_line_of_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())
