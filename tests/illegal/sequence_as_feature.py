"""help:
.count()
"""

from tests.illegal.records import Visit, mt

mt.LightGBM("binary")(mt.past(Visit.film, by=Visit.viewer), target=Visit.rating >= 4)
