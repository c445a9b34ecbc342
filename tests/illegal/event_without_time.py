"""event Order has no Time
help: say when it happens, once: at: mt.Time
"""

from tests.illegal.records import Viewer, mt


class Order(mt.Event):
    viewer: Viewer
