"""Pictures of every kind people have: turned into what a model takes and told so, or refused in a sentence."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.errors import InvalidInput
from pipelines.pictures import read_picture

ORANGE = (240, 120, 20)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_a_picture_is_cropped_to_the_middle_and_scaled(tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 100), "blue")
    image.paste(ORANGE, (100, 0, 200, 100))
    picture = read_picture(saved(tmp_path, image), 64, 64)
    assert picture.pixels.shape == (64, 64, 3)
    assert np.abs(picture.pixels[:, 2:-2].astype(int) - ORANGE).max() < 3
    assert picture.notes == ("Cropped from 300 x 100 to the middle.",)


def test_a_picture_of_the_right_size_is_left_alone(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    picture = read_picture(saved(tmp_path, Image.fromarray(pixels)), 64, 64)
    assert np.array_equal(picture.pixels, pixels)
    assert picture.notes == ()


@pytest.mark.parametrize(
    ("mode", "color", "name"),
    [("CMYK", (0, 128, 235, 15), "a.jpg"), ("L", 128, "a.png"), ("P", 3, "a.gif"), ("LA", (128, 255), "a.png"), ("1", 1, "a.png")],
)
def test_every_kind_of_colour_becomes_red_green_and_blue(tmp_path: Path, mode: str, color: object, name: str) -> None:
    assert read_picture(saved(tmp_path, Image.new(mode, (64, 64), color), name), 64, 64).pixels.shape == (64, 64, 3)  # type: ignore[arg-type]


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path, Image.fromarray(np.full((64, 64), 65535 // 2, np.uint16))), 64, 64)
    assert picture.pixels.mean() == pytest.approx(127, abs=1)
    assert "8 bits" in picture.notes[0]


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path, Image.new("RGBA", (64, 64), (0, 0, 0, 0))), 64, 64)
    assert picture.pixels.min() == 255
    assert "white" in picture.notes[0]


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in (ORANGE, "blue", "red")]
    picture = read_picture(saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:]), 64, 64)
    assert np.abs(picture.pixels.astype(int) - ORANGE).max() < 6
    assert picture.notes == ("The first of 3 frames was taken.",)


def test_a_picture_stands_as_the_camera_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    image = Image.new("RGB", (128, 64), "blue")
    image.paste(ORANGE, (0, 0, 64, 64))
    picture = read_picture(saved(tmp_path, image, exif=exif), 32, 64)
    assert picture.pixels[:28].mean(axis=(0, 1)) == pytest.approx(ORANGE, abs=3)
    assert "Turned upright" in picture.notes[0]


@pytest.mark.parametrize(("side", "said"), [(10_000, "100 megapixels"), (20_000, "far too many pixels")])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, side: int, said: str) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    file = tmp_path / "huge.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))  # nothing to decode
    with pytest.raises(InvalidInput, match=said):
        read_picture(file, 64, 64)


def test_a_tiny_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="1 x 1 pixels"):
        read_picture(saved(tmp_path, Image.new("RGB", (1, 1))), 64, 64)


@pytest.mark.parametrize("harm", ["cut", "text", "empty", "gone"])
def test_what_is_no_picture_is_named(tmp_path: Path, harm: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    file = saved(tmp_path, Image.fromarray(noise), "harmed.png")
    match harm:
        case "cut":
            file.write_bytes(file.read_bytes()[:2000])
        case "gone":
            file.unlink()
        case _:
            file.write_text("a picture, honestly" if harm == "text" else "")
    with pytest.raises(InvalidInput, match=r"harmed\.png"):
        read_picture(file, 64, 64)
