"""Pictures as bytes: what an Image holds, how it travels as text, and how it becomes pixels.

A file's path is held as bytes too, behind a mark that no picture begins with: an Image is one Arrow array whatever its
rows are. Who asks cannot write the mark, so nobody reads files of this machine by asking.
"""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array
from motet.clock import once
from motet.errors import needs

MARK = b"file:"
URL = "data:"
LARGEST = 64 << 20  # bytes of a file that are read
PIXELS = 64_000_000  # of a picture that is decoded
MANY = f"the picture has more than {PIXELS // 1_000_000} million pixels"
KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp", b"BM": "bmp"}


class Unreadable(Exception):
    """Why a picture cannot be had."""


def of_url(text: str) -> bytes | None:
    """The bytes in a data: URL, None where it holds none."""
    head, _, data = text.partition(",")
    if not head.startswith(URL) or not head.endswith(";base64"):
        return None
    try:
        made = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    return None if made.startswith(MARK) else made


def of_path(path: str) -> bytes:
    return MARK + path.encode()


def content(held: bytes) -> bytes:
    """The bytes of the picture itself. Errors: Unreadable, where a path leads to none."""
    if not held.startswith(MARK):
        return held
    file = Path(held[len(MARK) :].decode())
    try:
        if file.stat().st_size > LARGEST:
            raise Unreadable(f"the file is larger than {LARGEST >> 20} MiB")
        return file.read_bytes()
    except (OSError, ValueError) as error:
        raise Unreadable(f"no file can be read: {type(error).__name__}") from None


def told(value: pa.Array) -> list[str | None]:
    """Pictures as data: URLs, for answers; None where there is none."""
    return [None if held is None else _url(held) for held in cast("list[bytes | None]", value.to_pylist())]


def _url(held: bytes) -> str | None:
    try:
        raw = content(held)
    except Unreadable:
        return None
    kind = next((f"image/{name}" for begun, name in KINDS.items() if raw.startswith(begun)), "application/octet-stream")
    return f"{URL}{kind};base64,{base64.b64encode(raw).decode()}"


def pixels(held: bytes | None, size: int, crop: float) -> Array:
    """A picture's middle, uint8 [size, size, 3]: the square of `crop` of its shorter side, resized.

    Errors: Unreadable, for a picture that is missing, broken or too large.
    """
    if not held:
        raise Unreadable("there is no picture")
    images = library()
    try:
        with images.open(io.BytesIO(content(held))) as opened:
            width, height = opened.size
            if width * height > PIXELS:
                raise Unreadable(MANY)
            opened.draft("RGB", (2 * size, 2 * size))  # a JPEG is decoded small where that is enough
            return _middle(images, opened.convert("RGB"), size, crop)
    except Unreadable:
        raise
    except Exception as error:  # broken files raise whatever a decoder comes to
        if type(error).__name__.startswith("DecompressionBomb"):
            raise Unreadable(MANY) from None
        raise Unreadable(f"the picture cannot be decoded: {type(error).__name__}") from None


def _middle(images: Any, picture: Any, size: int, crop: float) -> Array:
    width, height = picture.size
    side = max(1, round(crop * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    cut = picture.resize((size, size), images.Resampling.BICUBIC, (left, top, left + side, top + side))
    return np.asarray(cut, np.uint8)


def library() -> Any:
    try:
        with once():
            from PIL import Image
    except ImportError:
        raise needs("images", "pillow") from None
    return Image
