"""The renderer: seeded, exact, in all styles."""

import numpy as np
import pytest

from pipelines.pocket.captions import DOMAIN_STYLES, PHRASES, PRIOR_STYLES, Attributes, random_attributes
from pipelines.pocket.world import FRAMES, SIZE, render, render_with_path

STAR = {"object": "star", "color": "red", "size": "big", "motion": "left", "background": "hills", "style": "flat"}


def path_of(**changes: str):
    return render_with_path(Attributes(**{**STAR, **changes}), np.random.default_rng(0))[1]


@pytest.mark.parametrize("style", PHRASES["style"])
def test_the_same_seed_gives_the_same_pixels(style: str) -> None:
    attributes = Attributes(**{**STAR, "style": style})
    first, second = (render(attributes, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (FRAMES, SIZE, SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert not np.array_equal(first, render(attributes, np.random.default_rng(6)))


@pytest.mark.parametrize("name", PHRASES)
def test_each_value_of_an_attribute_looks_different(name: str) -> None:
    clips = [render(Attributes(**{**STAR, name: value}), np.random.default_rng(1)) for value in PHRASES[name]]
    assert len({clip.tobytes() for clip in clips}) == len(clips)


def test_the_world_is_as_large_as_promised() -> None:
    counts = {name: len(values) for name, values in PHRASES.items()}
    assert counts == {"object": 8, "color": 8, "size": 2, "motion": 9, "background": 6, "style": 4}
    assert {*PRIOR_STYLES, *DOMAIN_STYLES} == set(PHRASES["style"])


def test_unknown_attributes_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'banana'.*rocket"):
        Attributes(**{**STAR, "object": "banana"})


@pytest.mark.parametrize(("motion", "dx", "dy"), [("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1)])
def test_straight_motions_go_where_they_say(motion: str, dx: int, dy: int) -> None:
    track = path_of(motion=motion)
    assert np.sign(np.round(track.x[-1] - track.x[0], 6)) == dx
    assert np.sign(np.round(track.y[-1] - track.y[0], 6)) == dy


def test_only_growing_changes_size_and_only_spinning_turns() -> None:
    for motion in PHRASES["motion"]:
        track = path_of(motion=motion)
        assert (np.ptp(track.radius) > 0.1) == (motion == "grow")
        assert (np.ptp(track.angle) > 5) == (motion == "spin")


def test_a_still_clip_has_no_flicker() -> None:
    clip = render(Attributes(**{**STAR, "motion": "still"}), np.random.default_rng(2))
    assert np.ptp(clip, axis=0).max() == 0


def test_the_background_stands_still_behind_a_moving_object() -> None:
    clip = render(Attributes(**{**STAR, "motion": "left", "size": "small"}), np.random.default_rng(2))
    assert (np.ptp(clip, axis=0).max(-1) == 0).mean() > 0.5


def test_any_times_can_be_rendered() -> None:
    attributes = Attributes(**STAR)
    whole = render(attributes, np.random.default_rng(3))
    part = render(attributes, np.random.default_rng(3), times=np.linspace(0, 1, FRAMES)[[0, -1]])
    assert np.array_equal(part, whole[[0, -1]])


def test_objects_stay_inside_the_frame() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        attributes = random_attributes(rng, held_out=None)
        track = render_with_path(attributes, rng, np.linspace(0, 1, 5))[1]
        assert min(track.x.min(), track.y.min()) > 0.1
        assert max(track.x.max(), track.y.max()) < 0.9
