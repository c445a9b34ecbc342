"""would call a language model for every Film of every Visit
help: bound it by few candidates
"""

from tests.illegal.records import Facets, Film, Visit, llm, mt

mt.Extract(llm, Facets, seconds=2)(Visit.query + Film.plot)
