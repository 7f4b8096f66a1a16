"""A wall as one picture: every clip in its place, whole and in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageFont

from pipelines.errors import InvalidInput
from studio import grids, media


def clip(colour: tuple[int, int, int], frames: int = 3, height: int = 64, width: int = 64) -> np.ndarray:
    return np.full((frames, height, width, 3), colour, np.uint8)


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def area(frame: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((frame == colour).all(axis=-1).sum())


def test_each_clip_is_there_whole_and_enlarged_by_a_whole_factor() -> None:
    frames = grids.grid_frames([[clip(RED), clip(GREEN)]], [], ["0", "1"])
    assert [area(frames[0], colour) for colour in (RED, GREEN)] == [256**2, 256**2]


def test_columns_go_right_and_rows_go_down() -> None:
    frame = grids.grid_frames([[clip(RED), clip(GREEN)], [clip(BLUE), None]], ["1", "2"], ["a", "b"])[0]
    (ry, rx), (gy, gx), (by, bx) = (np.argwhere((frame == colour).all(axis=-1)).min(axis=0) for colour in (RED, GREEN, BLUE))
    assert (ry, bx) == (gy, rx)
    assert gx > rx
    assert by > ry


def test_a_missing_clip_leaves_its_place_empty() -> None:
    frame = grids.grid_frames([[clip(RED), None]], [], ["a", "b"])[0]
    assert area(frame, grids.WELL) == 254**2


def test_a_short_clip_waits_on_its_last_frame() -> None:
    short = np.concatenate([clip(GREEN, 1), clip(BLUE, 1)])
    frames = grids.grid_frames([[clip(RED, 4), short]], [], ["a", "b"])
    assert [area(frame, BLUE) > 0 for frame in frames] == [False, True, True, True]


def test_labels_are_drawn_above_and_beside() -> None:
    bare, labelled = (grids.grid_frames([[clip(RED)]], [], [text])[0] for text in (" ", "prior strength 0.5"))
    with_row = grids.grid_frames([[clip(RED)]], ["seed 41"], ["a"])[0]
    assert labelled.sum() > bare.sum()
    assert with_row.shape[1] > bare.shape[1]


def test_a_long_label_is_wrapped_and_then_cut() -> None:
    font = ImageFont.load_default(14)
    lines = grids.wrapped("a very long label that nobody could read in so little room, with more and more words", font, 120)
    assert len(lines) == 3
    assert lines[-1].endswith("...")
    assert max(font.getlength(line) for line in lines) <= 120


def test_an_unbroken_word_is_cut_to_its_place() -> None:
    font = ImageFont.load_default(14)
    assert all(font.getlength(line) <= 60 for line in grids.wrapped("x" * 300, font, 60))


@pytest.mark.parametrize(("columns", "shape"), [(24, (64, 64)), (9, (480, 832)), (3, (1080, 1920))])
def test_a_large_grid_is_reduced_to_what_players_decode(columns: int, shape: tuple[int, int]) -> None:
    one = clip(RED, 1, *shape)
    frames = grids.grid_frames([[one] * columns], ["a row"], [str(i) for i in range(columns)])
    assert max(frames.shape[1:3]) <= grids.LARGEST + 150
    assert frames.shape[1] % 2 == frames.shape[2] % 2 == 0


def test_clips_of_different_sizes_share_a_grid() -> None:
    frames = grids.grid_frames([[clip(RED, 2, 32, 64), clip(GREEN, 2, 64, 64)]], [], ["a", "b"])
    assert [area(frames[0], colour) for colour in (RED, GREEN)] == [128 * 256, 256 * 256]


def test_a_grid_becomes_a_video_and_a_gif(tmp_path: Path) -> None:
    frames = grids.grid_frames([[clip(RED), clip(GREEN)]], [], ["0", "1"])
    media.write_mp4(frames, 8, tmp_path / "wall.mp4", "{}", {})
    media.write_gif(frames, 8, tmp_path / "wall.gif")
    assert media.read_frames(tmp_path / "wall.mp4").shape == frames.shape


def test_a_grid_without_clips_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no clips"):
        grids.grid_frames([[None, None]], [], ["a", "b"])


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="do not fit"):
        grids.grid_frames([[clip(RED)]], [], ["a", "b"])


def test_curves_become_a_table_with_gaps() -> None:
    table = grids.curve_csv(["0", "0.5, faded"], {"style": [0.91, 0.8], "content": [1 / 3, None]}, "Prior strength")
    assert table == 'Prior strength,style,content\n0,0.91,0.333333\n"0.5, faded",0.8,\n'
