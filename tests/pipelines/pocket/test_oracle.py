"""The oracle that ships with the repository, on real rendered clips."""

import numpy as np
import pytest
import torch

from pipelines.errors import InvalidInput, WeightsDamaged, WeightsMissing
from pipelines.pocket.captions import PHRASES, Attributes
from pipelines.pocket.degrade import degrade
from pipelines.pocket.oracle import FILE, READS, Oracle
from pipelines.pocket.oracle_training import check
from pipelines.pocket.tracking import _unroll, find_object, read_color, read_motion
from pipelines.pocket.world import render, render_with_path


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle.from_pretrained()


def clip_of(seed: int = 0, frames: int = 16, **changes: str) -> np.ndarray:
    attributes = {"object": "heart", "color": "red", "size": "big", "motion": "left", "background": "hills", "style": "flat"}
    return render(Attributes(**{**attributes, **changes}), np.random.default_rng(seed), np.linspace(0, 1, frames))


@pytest.mark.parametrize("worse", [False, True], ids=["clean", "degraded"])
def test_each_attribute_of_held_out_clips_in_all_styles_is_read(oracle: Oracle, worse: bool) -> None:
    shares = check(oracle, clips=96, seed=7, worse=worse)
    assert min(shares.values()) >= 0.95, shares


@pytest.mark.parametrize("motion", PHRASES["motion"])
@pytest.mark.parametrize("frames", [8, 16, 31])
def test_each_motion_is_read_at_any_frame_rate(motion: str, frames: int) -> None:
    clip = clip_of(motion=motion, frames=frames)
    assert read_motion(clip, find_object(clip))[0] == motion


@pytest.mark.parametrize("color", PHRASES["color"])
@pytest.mark.parametrize("style", PHRASES["style"])
def test_each_color_is_read_in_each_style(color: str, style: str) -> None:
    clip = clip_of(color=color, style=style)
    assert read_color(clip, find_object(clip))[0] == color


def test_a_single_frame_has_everything_but_a_motion(oracle: Oracle) -> None:
    reading = oracle.read(clip_of(frames=1))
    assert (reading.object, reading.color, reading.background, reading.style) == ("heart", "red", "hills", "flat")
    assert reading.motion is None
    assert reading.path.shape == (1, 2)


def test_the_path_follows_the_object(oracle: Oracle) -> None:
    known = Attributes("star", "purple", "small", "circle", "sea", "pixel")
    clip, track = render_with_path(known, np.random.default_rng(3))
    assert np.abs(oracle.read(clip).path - np.stack([track.x, track.y], 1)).max() < 0.03


def test_the_path_is_interpolated_where_the_object_vanishes(oracle: Oracle) -> None:
    clip = clip_of(motion="right")
    whole = oracle.read(clip)
    clip[5:7] = clip[5:7].mean(-1, keepdims=True).astype(np.uint8)
    gap = oracle.read(clip)
    assert gap.motion == "right"
    assert np.abs(gap.path - whole.path).max() < 0.02


@pytest.mark.parametrize("kind", ["noise", "grey", "black", "pieces", "empty scene"])
def test_garbage_has_no_motion_no_color_and_no_object(oracle: Oracle, kind: str) -> None:
    rng = np.random.default_rng(0)
    garbage = {
        "noise": rng.integers(0, 256, (16, 64, 64, 3)),
        "grey": rng.integers(100, 120, (16, 64, 64, 1)).repeat(3, -1),
        "black": np.zeros((16, 64, 64, 3)),
        "pieces": rng.integers(0, 256, (16, 8, 8, 3)).repeat(8, 1).repeat(8, 2),
        "empty scene": np.median(clip_of(size="small", motion="right"), axis=0, keepdims=True).repeat(16, 0),
    }[kind].astype(np.uint8)
    reading = oracle.read(garbage)
    assert (reading.motion, reading.color, reading.object) == (None, None, None)


def test_shuffled_frames_have_no_motion() -> None:
    clip = clip_of(motion="left")[np.random.default_rng(1).permutation(16)]
    assert read_motion(clip, find_object(clip))[0] is None


def test_beyond_the_edge_of_the_frame_there_is_nothing() -> None:
    """What OpenCV leaves unfilled there is whatever the memory held, and motions were read from it."""
    clip = np.full((6, 64, 64, 3), 90, np.uint8)
    clip[:, 20:36, 48:] = (250, 20, 20)
    rings = _unroll(clip, find_object(clip))
    assert np.isfinite(rings).all()
    assert 0 <= rings.min() <= rings.max() <= 255
    assert not rings[:, 0, -2:].any()  # to the right


def test_a_batch_of_unequal_clips_reads_like_one_by_one(oracle: Oracle) -> None:
    clips = [clip_of(frames=16), clip_of(frames=5, color="blue"), np.zeros((3, 64, 64, 3), np.uint8)]
    together = oracle.read_batch(clips)
    for alone, reading in zip(map(oracle.read, clips), together, strict=True):
        assert [getattr(alone, name) for name in READS] == [getattr(reading, name) for name in READS]


def test_weights_come_back_in_half_precision(oracle: Oracle, tmp_path) -> None:
    oracle.save_pretrained(tmp_path)
    again = Oracle.from_pretrained(tmp_path).networks.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in oracle.networks.state_dict().items() if value.is_floating_point())


def test_missing_and_damaged_weights_are_named(tmp_path) -> None:
    with pytest.raises(WeightsMissing, match=str(tmp_path)):
        Oracle.from_pretrained(tmp_path)
    (tmp_path / FILE).write_bytes(b"not weights")
    with pytest.raises(WeightsDamaged, match=FILE):
        Oracle.from_pretrained(tmp_path)


def test_pixels_of_another_kind_are_refused(oracle: Oracle) -> None:
    with pytest.raises(InvalidInput, match="float32"):
        oracle.read(np.zeros((16, 64, 64, 3), np.float32))


def test_degrading_is_seeded_and_keeps_the_shape() -> None:
    clip = clip_of()
    worse = [degrade(clip, np.random.default_rng(4)) for _ in range(2)]
    assert worse[0].shape == clip.shape
    assert worse[0].dtype == np.uint8
    assert np.array_equal(*worse)
    assert not np.array_equal(worse[0], clip)
