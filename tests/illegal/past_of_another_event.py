"""past reads a column of {Visit}
help: read both from one event
"""

from tests.illegal.records import Click, Visit, mt

mt.past(Click.useful, by=Visit.viewer)
