"""is a Number and cannot fall back on
a Text
help: fall back on another Number
"""

from tests.illegal.records import Film

Film.year.otherwise(Film.title)  # pyright: ignore
