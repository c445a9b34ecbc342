"""a graph without outputs does nothing"""

from tests.illegal.records import mt

mt.Graph()
