"""one request cannot be two events"""

from tests.illegal.records import Click, Visit, mt

mt.Graph(a=mt.past(Visit.film, by=Visit.viewer).count(), b=mt.past(Click.useful, by=Click.viewer).count())
