"""holds no Film to leave out
help: give a history of references to Film
"""

from tests.illegal.records import Film, Visit, mt, popular

mt.retrieve(Film, k=10, by=[popular], exclude=mt.past(Visit.viewer, by=Visit.viewer))
