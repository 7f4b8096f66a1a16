"""The files around the code agree with each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from studio import __version__

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def front_matter() -> dict[str, str]:
    head = (ROOT / "README.md").read_text().split("---\n")[1]
    return {key: value.strip().strip('"') for key, _, value in (line.partition(":") for line in head.splitlines())}


def test_a_space_installs_what_the_package_needs() -> None:
    package, space = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["space"], lines("requirements.txt")
    assert [line for line in space if line not in package] == ["torch>=2.9,<2.12"]
    assert [Requirement(line).name for line in space] == [Requirement(line).name for line in package]


def test_zero_gpu_has_the_space_s_python_and_no_newer_torch_is_asked_for() -> None:
    # https://huggingface.co/docs/hub/spaces-zerogpu, in August 2026: torch 2.8.0 to 2.11.0
    assert front_matter()["python_version"] in ("3.10.13", "3.12.12")
    assert front_matter()["python_version"] in SpecifierSet(PROJECT["requires-python"])
    torch = next(Requirement(line) for line in lines("requirements.txt") if line.startswith("torch"))
    assert "2.11.0" in torch.specifier
    assert "2.12.0" not in torch.specifier


def test_a_space_has_the_system_packages_it_needs() -> None:
    # Gradio converts dropped files with it; everything else brings its own.
    assert lines("packages.txt") == ["ffmpeg"]


def test_the_space_runs_this_app_on_a_gradio_that_the_package_accepts() -> None:
    matter = front_matter()
    gradio = next(Requirement(line) for line in PROJECT["dependencies"] if line.startswith("gradio"))
    assert matter["sdk"] == "gradio"
    assert matter["sdk_version"] in gradio.specifier
    assert (ROOT / matter["app_file"]).is_file()
    assert matter["license"] == PROJECT["license"].lower()
    assert len(matter["short_description"]) <= 60


def test_the_changelog_knows_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_nothing_that_a_program_made_is_kept_in_git() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A checkout in which everything is installed already."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    (tmp_path / ".venv" / "installed").touch()
    (tmp_path / ".venv" / "installed-test").touch()
    return tmp_path


def planned(folder: Path, target: str) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(["make", "--dry-run", target], cwd=folder, env=environ, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["run", "test"])
def test_a_second_start_installs_nothing(installed: Path, target: str) -> None:
    assert "install" not in planned(installed, target)


@pytest.mark.parametrize("target", ["run", "test"])
def test_the_first_start_installs(installed: Path, target: str) -> None:
    shutil.rmtree(installed / ".venv")
    assert "-m venv .venv" in planned(installed, target)
    assert "pip --disable-pip-version-check install --editable" in planned(installed, target)


def test_a_new_requirement_is_installed_at_the_next_start(installed: Path) -> None:
    os.utime(installed / "pyproject.toml", (2**31, 2**31))
    assert "install --editable" in planned(installed, "run")
