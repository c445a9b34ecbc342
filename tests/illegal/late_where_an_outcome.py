"""is an outcome and cannot say when
help: read earlier ones with mt.past(...)
"""

from tests.illegal.records import Visit, found, llm, mt

told = mt.Write(llm, "Show {films}.")(films=found.top(3))
told.within(seconds=3, otherwise="", where=Visit.rating >= 4)
