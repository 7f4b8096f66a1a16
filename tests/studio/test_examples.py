"""The clips before the first run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.pocket.captions import example_prompts
from studio import media
from studio.examples import examples, make_examples
from studio.requests import parse_request


def test_a_clip_without_readable_settings_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "a.json").write_text('{"prompt": "a red ball"}')
    (tmp_path / "b.json").write_text("not json")
    assert [(each.name, each.request.prompt) for each in examples(tmp_path)] == [("a", "a red ball")]


def test_no_folder_is_no_examples(tmp_path: Path) -> None:
    assert examples(tmp_path / "nothing") == []


def test_made_examples_show_each_prompt_and_carry_their_settings(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = example_prompts()[:2]
    monkeypatch.setattr("studio.examples.example_prompts", lambda: prompts)
    make_examples(tmp_path, tiny_model)
    found = examples(tmp_path)
    assert [each.request.prompt for each in found] == prompts
    assert all(parse_request(media.read_metadata(each.video)["request"]) == each.request for each in found)
