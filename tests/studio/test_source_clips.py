"""Clips that people bring: read upright, by time, no further than needed, and refused in a sentence where nothing can be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import InvalidInput, StorageError
from studio import bundled, media, source_clips
from studio.requests import TuningRequest
from studio.source_clips import pack, probe, read, strip, unpack, usual_stride

SIZE = (64, 64)


def wanted(path: Path, **changes: object) -> TuningRequest:
    values = {"name": "a", "clip": str(path), "caption": "a", "frames": 4}
    return TuningRequest(**{**values, **changes})  # type: ignore[arg-type]


def make(path: Path, *arguments: str, source: str = "testsrc=size=64x64:rate=10:duration=1") -> Path:
    """A clip of ffmpeg's test picture."""
    media.ffmpeg(["-f", "lavfi", "-i", source, *arguments, str(path)])
    return path


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames at 10 a second; frame i is grey of 10 * i."""
    path = tmp_path_factory.mktemp("clips") / "moving.mp4"
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10 + np.zeros((1, 256, 256, 3), np.uint8)
    media.write_mp4(frames, 10, path, "", {})
    return path


def greys(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / 10) for frame in frames]


def test_a_clip_says_what_it_is(moving: Path) -> None:
    facts = probe(moving)
    assert (facts.seconds, facts.fps, facts.width, facts.height, facts.frames) == (2.0, 10.0, 256, 256, 20)


def test_exactly_the_chosen_frames_are_seen(moving: Path) -> None:
    clip = read(moving, wanted(moving, start=0.5, stride=3), SIZE)
    assert clip.frames.shape == (4, 64, 64, 3)
    assert greys(clip.frames) == [5, 8, 11, 14]
    assert clip.fps == pytest.approx(10 / 3)


def test_frames_of_a_varying_rate_are_taken_by_time(moving: Path, tmp_path: Path) -> None:
    slower = tmp_path / "varying.mp4"  # the second half at half the speed
    media.ffmpeg(["-i", str(moving), "-vf", "setpts='if(lt(N,10),N,10+2*(N-10))/10/TB'", "-fps_mode", "vfr", str(slower)])
    facts = probe(slower)
    clip = read(slower, wanted(slower, frames=6, stride=max(1, round(0.5 * facts.fps))), SIZE)
    seconds = [i * max(1, round(0.5 * facts.fps)) / facts.fps for i in range(6)]
    shown = [10 * t if t < 1 else 10 + 5 * (t - 1) for t in seconds]
    assert np.abs(np.array(greys(clip.frames)) - shown).max() <= 1


def test_a_portrait_clip_stands_upright(tmp_path: Path) -> None:
    lying = make(tmp_path / "lying.mp4", source="color=red:size=128x64:rate=10:duration=1,drawbox=x=0:w=64:h=64:color=blue:t=fill")
    turned = tmp_path / "turned.mp4"
    media.ffmpeg(["-display_rotation", "90", "-i", str(lying), "-c", "copy", str(turned)])
    clip = read(turned, wanted(turned, fit="fit"), SIZE)
    assert (probe(turned).width, probe(turned).height) == (64, 128)
    top, bottom = clip.frames[0, 8, 32].astype(int), clip.frames[0, 56, 32].astype(int)
    assert abs(top[0] - bottom[0]) > 100  # the halves lie above each other
    assert clip.notes == ("It was stored lying on its side, and stands upright here.",)


def test_a_wide_clip_is_cut_or_shown_whole(tmp_path: Path) -> None:
    wide = make(tmp_path / "wide.mp4", source="color=white:size=128x64:rate=10:duration=1")
    assert read(wide, wanted(wide, fit="crop"), SIZE).frames[0, 0].min() > 200
    assert read(wide, wanted(wide, fit="fit"), SIZE).frames[0, 0].max() < 50


@pytest.mark.parametrize(("name", "codec"), [("a.webm", ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"]), ("a.mov", ["-c:v", "qtrle"])])
def test_transparent_parts_are_put_on_white_and_that_is_said(tmp_path: Path, name: str, codec: list[str]) -> None:
    clear = make(tmp_path / name, *codec, source="color=black@0.0:size=64x64:rate=10:duration=1,format=rgba")
    clip = read(clear, wanted(clear), SIZE)
    assert clip.frames.min() > 200
    assert clip.notes == ("Its transparent parts were put on white.",)


def test_a_gif_without_transparency_needs_no_note(tmp_path: Path) -> None:
    gif = make(tmp_path / "a.gif")
    assert read(gif, wanted(gif), SIZE).notes == ()


def test_an_hour_in_4k_is_sampled_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = make(tmp_path / "hour.mp4", "-preset", "ultrafast", source="color=gray:size=3840x2160:rate=1/300:duration=3600")
    facts, ffmpeg = probe(long), media.ffmpeg
    read_whole: list[bool] = []

    def watched(arguments: list[str], **rest: Any) -> bytes:
        read_whole.append("-frames:v" not in arguments)
        return ffmpeg(arguments, **rest)

    monkeypatch.setattr(media, "ffmpeg", watched)
    assert (round(facts.seconds), facts.width) == (3600, 3840)
    assert len(strip(long, facts)) >= 9
    assert len(read(long, wanted(long, start=600, frames=2), SIZE).frames) == 2
    assert not any(read_whole)


def test_a_clip_that_does_not_say_how_long_it_is_is_counted(tmp_path: Path) -> None:
    streamed = make(tmp_path / "streamed.webm", "-c:v", "libvpx", "-live", "1")
    assert probe(streamed).seconds == pytest.approx(1.0, abs=0.11)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(b"no video" * 500)
    with pytest.raises(InvalidInput, match=r"'noise.mp4' cannot be read as a video. Choose an MP4, MOV, WebM or GIF."):
        probe(tmp_path / "noise.mp4")


def test_sound_in_the_clothes_of_a_clip_is_refused(tmp_path: Path) -> None:
    sound = make(tmp_path / "song.mp4", source="sine=duration=1")
    with pytest.raises(InvalidInput, match=r"'song.mp4' has sound, but no picture."):
        probe(sound)


def test_one_frame_is_no_clip(tmp_path: Path) -> None:
    still = make(tmp_path / "still.mp4", "-frames:v", "1")
    with pytest.raises(InvalidInput, match=r"'still.mp4' has one frame. Motion needs two or more: choose a clip."):
        read(still, wanted(still), SIZE)


def test_too_few_frames_are_counted(moving: Path) -> None:
    with pytest.raises(InvalidInput, match=r"From 1 s on, with stride 4, 'moving.mp4' \(2.0 s\) gives 3 frames. Ask for at most 3 frames"):
        read(moving, wanted(moving, start=1, stride=4, frames=8), SIZE)


def test_the_usual_stride_comes_close_to_the_model_and_finds_enough_frames() -> None:
    facts = source_clips.ClipFacts(seconds=3.0, fps=30.0, width=64, height=64)
    assert usual_stride(facts, 16, 8.0) == 4
    assert usual_stride(facts, 32, 8.0) == 2


def test_kept_frames_come_back_exactly_even_when_all_are_alike() -> None:
    frames = np.full((8, 20, 30, 3), 90, np.uint8)
    assert (unpack(pack(frames), 8) == frames).all()
    with pytest.raises(StorageError, match=r"The frames of the clip cannot be read."):
        unpack(b"nothing", 8)


@pytest.mark.parametrize("name", bundled.CLIPS)
def test_a_bundled_clip_is_rendered_at_need(tmp_path: Path, name: str) -> None:
    path = bundled.clip(name, tmp_path)
    assert read(path, wanted(path, frames=16), SIZE).frames.std() > 10
    assert bundled.clip(name, tmp_path) == path
