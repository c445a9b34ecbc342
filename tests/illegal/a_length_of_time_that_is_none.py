"""'soon' is no length of time
help: write seconds
"""

from tests.illegal.records import mt

mt.outcome(after="soon")
