"""unsupported operand"""

from tests.illegal.records import Film, meaning

Film.title @ meaning  # pyright: ignore
