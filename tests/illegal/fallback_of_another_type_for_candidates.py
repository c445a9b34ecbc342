"""is Candidates and cannot fall back on
a Text
help:
"""

from tests.illegal.records import Film, found

found.otherwise(Film.title)  # pyright: ignore
