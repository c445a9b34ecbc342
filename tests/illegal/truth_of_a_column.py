"""has no value yet, so it is neither true nor false
help: combine conditions with & | ~
"""

from tests.illegal.records import Film

1990 <= Film.year < 2000  # pyright: ignore
