"""Film has no field 'titel'
help: did you mean 'title'? there are: film_id, plot, title, year
"""

from tests.illegal.records import Film

Film.titel  # pyright: ignore
