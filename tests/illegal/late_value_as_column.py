"""which comes late and may not come at all
help: give it a deadline
.within(seconds=3
"""

from tests.illegal.records import Visit, embed, found, llm, mt

reply = mt.Write(llm, "Answer {query} using only {films}.")(query=Visit.query, films=found.top(5))
embed(reply)  # pyright: ignore
