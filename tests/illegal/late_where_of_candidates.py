"""is asked for once per {Visit}, and
help: give a flag per {Visit}
"""

from tests.illegal.records import Film, found, llm, mt

told = mt.Write(llm, "Show {films}.")(films=found.top(3))
told.within(seconds=3, otherwise="", where=Film.year > 1990)
