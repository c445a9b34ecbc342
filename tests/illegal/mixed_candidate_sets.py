"""would mix columns of 2 candidate sets
help: retrieve once, by all of them
"""

from tests.illegal.records import Film, Visit, found, mt, popular

nearby = mt.retrieve(Film, k=50, by=[popular], exclude=mt.past(Visit.film, by=Visit.viewer))
mt.LightGBM("lambdarank")(found, nearby.score, target=Visit.rating >= 4)
