"""no outcome says whether
help: say what they predict: Classify()(..., target=Query.intent)
"""

from tests.illegal.records import Facets, Visit, llm, mt

cheap = mt.Extract(llm, Facets, seconds=1)(Visit.query).mood
strong = mt.Extract(mt.LLM("qwen2.5-0.5b", url="http://127.0.0.1:1/v1"), Facets, seconds=2)(Visit.query).mood
cheap.escalate(strong, price=0.1)
