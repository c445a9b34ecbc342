"""exists once per {Film}
what is decided per request exists once per request
help: escalate labels of the event that asks
"""

from tests.illegal.records import Facets, llm, mt, words

facets = mt.Extract(llm, Facets)(words)
facets.mood.escalate(facets.mood, budget=0.1)
