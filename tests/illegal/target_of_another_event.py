"""is asked once per Visit, and its target Click.useful belongs to Click
help: choose an outcome of Visit: Visit.film, Visit.rating
"""

from tests.illegal.records import Click, Visit, mt

mt.LightGBM("binary")(Visit.viewer.age, mt.past(Visit.film, by=Visit.viewer).count(), target=Click.useful)
