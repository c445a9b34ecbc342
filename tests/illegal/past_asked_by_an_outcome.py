"""past cannot be asked by Visit.film, an outcome that is not known when it is asked
help: ask by a reference that is known
"""

from tests.illegal.records import Visit, mt

mt.past(Visit.rating, by=Visit.film)
