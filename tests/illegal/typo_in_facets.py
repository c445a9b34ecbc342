"""Facets has no field 'mod'
did you mean 'mood'?
"""

from tests.illegal.records import Facets, llm, mt, words

mt.Extract(llm, Facets)(words).mod  # pyright: ignore
