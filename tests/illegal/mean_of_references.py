"""has no mean: it holds no numbers but a Reference each
help: .count(), .nunique() or .since()
"""

from tests.illegal.records import Visit, mt

mt.past(Visit.film, by=Visit.viewer).mean()
