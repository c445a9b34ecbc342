"""calls a language model while a Visit waits, and has no deadline
seconds=2
"""

from tests.illegal.records import Facets, Visit, llm, mt

mt.Extract(llm, Facets)(Visit.query)
