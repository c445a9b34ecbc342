"""two outputs are called 'top'
help: rename one
"""

from tests.illegal.records import found, mt

mt.Graph(mt.Graph(top=found.top(10)), top=found.top(5))
