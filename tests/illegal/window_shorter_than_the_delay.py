"""within='1d' would see nothing
help: look further back
"""

from tests.illegal.records import Visit, mt

mt.past(Visit.rating, by=Visit.viewer, within="1d")
