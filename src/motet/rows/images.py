"""Pictures as sources give them: bytes, paths, or data: URLs."""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa

from motet import pictures
from motet.rows.given import Given, Read, is_text, missing, texts_of

HELP = "an Image is the bytes of a file, the path to one, or data:image/png;base64,..."
ASKED = "an ask holds the picture itself: data:image/png;base64,..."


def image(given: Given) -> Read:
    """Bytes as they are; what a path leads to is read when it is looked at."""
    values = given.values
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        held = cast("list[bytes | None]", values.to_pylist())
        if any(each.startswith(pictures.MARK) for each in held if each):
            given.refuse("pictures", HELP)
        made = [each or None for each in held]
    elif is_text(values.type):
        texts = cast("list[str | None]", texts_of(values).to_pylist())
        made = [_written(text, given.asked) if text else None for text in texts]
        wrong = np.array([bool(text) and each is None for text, each in zip(texts, made, strict=True)], np.bool_)
        given.note(wrong, "no picture", ASKED if given.asked else HELP)
    else:
        given.refuse("pictures", HELP)
        made = [None] * len(values)
    array = pa.array(made, pa.large_binary())
    return array, missing(array)


def _written(text: str, asked: bool) -> bytes | None:
    """A text as a picture, None where it is none."""
    if text.startswith(pictures.URL):
        return pictures.of_url(text)
    return None if asked else pictures.of_path(text)
