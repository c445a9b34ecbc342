"""ranks candidates
help:
"""

from tests.illegal.records import Film, Visit, mt, popular

mt.LightGBM("lambdarank")(popular, Film.year, target=Visit.rating >= 4)
