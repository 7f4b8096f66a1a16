"""The program: it says where it is, refuses a taken port in one sentence, and ends cleanly."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from studio.settings import ROOT

PAGE_UP_SECONDS = 15


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_taken_port_is_one_sentence_and_touches_nothing(taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--port", str(taken), "--data", str(tmp_path / "data")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"The studio cannot listen on 127.0.0.1:{taken} (Address already in use). Close what uses it")
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_a_bad_setting_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--port", "70000"]) == 1
    assert capsys.readouterr().err == "The value of port is '70000'. It should be less than or equal to 65535.\n"


def test_an_unwritable_data_folder_is_one_sentence(free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--port", str(free_port), "--data", "/proc/nope"]) == 1
    assert capsys.readouterr().err.startswith("The folder '/proc/nope' cannot be used")


def test_the_page_is_up_in_time_and_the_program_ends_when_told(free_port: int, tmp_path: Path, tiny_model: Path) -> None:
    command = [sys.executable, "app.py", "--port", str(free_port), "--data", str(tmp_path / "data"), "--model", str(tiny_model)]
    address = f"http://127.0.0.1:{free_port}"
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            while not answers(address):
                assert program.poll() is None
                assert time.monotonic() - started < PAGE_UP_SECONDS
                time.sleep(0.1)
            assert program.stdout is not None
            assert program.stdout.readline() == f"Prior Studio is at {address}\n"
            program.send_signal(signal.SIGTERM)
            _, said = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 0
    assert "Traceback" not in said


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as page:
            return page.status == 200
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
