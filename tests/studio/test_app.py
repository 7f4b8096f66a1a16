"""The page as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from studio.app import launch_arguments
from studio.settings import ROOT, Settings

FOLDERS = ["clips", "previews", "walls", "stages", "sources", "domain_models", "tuned_models", "shared", "examples"]
BUILD = """
import sys
import app
from studio.app import build, launch_arguments
from studio.engine import Engine
from studio.settings import Settings
settings = Settings(data_dir=sys.argv[1], model_dir=sys.argv[2])
engine = Engine(settings)
build(engine), launch_arguments(settings)
engine.close()
print(sorted({"torch", "diffusers", "transformers", "cv2"} & set(sys.modules)))
"""


def test_building_the_page_imports_no_torch(tmp_path: Path, tiny_model: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(tmp_path / "data"), str(tiny_model)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_page_may_read_what_was_made_and_the_examples_and_nothing_else(tmp_path: Path) -> None:
    allowed = launch_arguments(Settings(data_dir=tmp_path))["allowed_paths"]
    assert [Path(each).name for each in allowed] == FOLDERS


def test_no_runs_are_kept_in_the_browser(tmp_path: Path) -> None:
    assert launch_arguments(Settings(data_dir=tmp_path))["run_history"] is False
