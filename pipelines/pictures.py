"""A person's picture as a model takes it: checked before it is decoded whole, upright, opaque, cropped, and told what was done to it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InvalidInput

MOST_PIXELS = 64_000_000
LEAST_SIDE = 8  # pixels
REMEDY = "Give a PNG, JPEG or WebP picture."


@dataclass(frozen=True)
class Picture:
    """A picture as uint8 (h, w, 3), and a sentence for each thing that was done to it."""

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def read_picture(path: str | Path, width: int, height: int) -> Picture:
    """A file as a picture of the given size: the largest middle part of the right proportions, scaled.

    Raises:
        InvalidInput: for a file that is no picture or is cut off, and for too many or too few pixels, which are counted before decoding.
    """
    name = Path(path).name
    try:
        with _open(path) as opened:
            _check_size(opened, name)
            image, notes = _upright(opened)
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"{name!r} has far too many pixels.", _AT_MOST) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InvalidInput(f"{name!r} cannot be read as a picture.", REMEDY) from error
    image, more = _opaque(image)
    if abs(image.width * height - image.height * width) > max(image.size):
        more.append(f"Cropped from {image.width} x {image.height} to the middle.")
    fitted = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    return Picture(np.asarray(fitted), (*notes, *more))


_AT_MOST = f"Give a picture of at most {MOST_PIXELS / 1e6:.0f} megapixels."


def _open(path: str | Path) -> Image.Image:
    """Reads the header alone; Pillow's warning of many pixels is answered by `_check_size`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def _check_size(image: Image.Image, name: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise InvalidInput(f"{name!r} has {image.width * image.height / 1e6:.0f} megapixels.", _AT_MOST)
    if min(image.size) < LEAST_SIDE:
        raise InvalidInput(f"{name!r} has {image.width} x {image.height} pixels.", f"Give one of {LEAST_SIDE} a side or more.")


def _upright(opened: Image.Image) -> tuple[Image.Image, list[str]]:
    """The first frame, decoded, turned as its EXIF data says."""
    frames = getattr(opened, "n_frames", 1)
    notes = [f"The first of {frames} frames was taken."] if frames > 1 else []
    opened.seek(0)
    turned = ImageOps.exif_transpose(opened)
    if turned.size != opened.size:
        notes.append("Turned upright, as the camera noted.")
    return turned, notes


def _opaque(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """RGB: transparency over white, deep and CMYK colours brought to 8 bits of red, green and blue."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_deep(image), ["Brought to 8 bits a colour."]
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB"), ["Its transparent parts are white."]
    return image.convert("RGB"), []


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit and floating-point grey as RGB. Pillow stores 16 bits in 32 as well, and floats up to 1 or up to 255."""
    values = np.asarray(image, np.float64)
    if image.mode.startswith("I;16") or (image.mode == "I" and values.max() > 255):
        values = values / 257
    elif image.mode == "F" and values.max() <= 1:
        values = values * 255
    return Image.fromarray(np.round(values.clip(0, 255)).astype(np.uint8)).convert("RGB")
