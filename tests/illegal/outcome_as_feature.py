"""would read Visit.rating, an outcome of Visit that is not known when it is asked
help: read the earlier ones: mt.past(Visit.rating, by=Visit.viewer)
"""

from tests.illegal.records import Visit, mt

mt.LightGBM("binary")(Visit.rating, target=Visit.rating >= 4)
