"""past keeps no Text such as Visit.query
help: read a number
"""

from tests.illegal.records import Visit, mt

mt.past(Visit.query, by=Visit.viewer)
