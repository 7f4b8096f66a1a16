"""The program as a Space starts it, from the repository as it is: on a CPU, and where a GPU is lent by the call."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gradio_client import Client

from studio.settings import ROOT
from tests.serving import free_port
from tests.test_app import answers

# Gradio's own bookkeeping asks pandas for an option that newer ones deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:.*no_silent_downcasting")
STAND_INS = ROOT / "tests" / "stand_ins"
UP_SECONDS = 60  # torch is imported first where a GPU is lent
SPACE = {"SYSTEM": "spaces", "SPACE_ID": "somebody/prior-studio", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ANALYTICS_ENABLED": "False"}
ZERO = {"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(STAND_INS)}


@contextmanager
def space(folder: Path, **variables: str) -> Iterator[tuple[Client, subprocess.Popen[str]]]:
    """A client of the program, which runs with the variables that a Space sets."""
    port = free_port()
    own = {"GRADIO_SERVER_PORT": str(port), "PRIOR_STUDIO_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1"}
    environ = {**os.environ, **SPACE, **own, **variables}
    with subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as program:
        try:
            started = time.monotonic()
            while not answers(f"http://127.0.0.1:{port}"):
                assert program.poll() is None, program.communicate()[1]
                assert time.monotonic() - started < UP_SECONDS
                time.sleep(0.2)
            yield Client(f"http://127.0.0.1:{port}", verbose=False, download_files=folder), program
        finally:
            program.terminate()
            program.communicate(timeout=60)


@pytest.mark.parametrize("variables", [{}, ZERO], ids=["CPU", "ZeroGPU"])
def test_a_space_makes_a_clip_with_the_pocket_model(tmp_path: Path, variables: dict[str, str]) -> None:
    with space(tmp_path, **variables) as (client, program):
        answer = client.predict(prompt="a red ball moving left", steps=2, frames=4, api_name="/text_to_video")
        assert answer["state"] == "done"
        assert Path(answer["clips"][0]["video"]).stat().st_size > 1000
        job = client.predict(prompt="a red ball moving left", steps=200, api_name="/submit")
        client.predict(job_id=job, api_name="/stop")
        while (state := client.predict(job_id=job, api_name="/status")["state"]) in ("queued", "loading", "step"):
            time.sleep(0.1)
        assert state == "stopped"
        assert program.poll() is None
    log = (tmp_path / "data" / "studio.log").read_text()
    assert ("the model is there for every call" in log) is bool(variables)


def test_a_stranger_on_a_space_changes_no_models(tmp_path: Path) -> None:
    from studio.settings import Settings

    assert Settings.load([], {}).models == "auto"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SPACE_ID", SPACE["SPACE_ID"])
        assert not Settings.load([], {}).models_open
