"""How large MiniLM-L6 is, and in which precisions it runs."""

from __future__ import annotations

from typing import Literal

LAYERS, HEADS, WIDTH, POSITIONS = 6, 12, 384, 256
Precision = Literal["int8", "fp32"]
