"""Viewer has no field 'agee'
did you mean 'age'?
"""

from tests.illegal.records import Visit

Visit.viewer.agee  # pyright: ignore
