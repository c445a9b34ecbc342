"""event Order has 1 Time that is known only afterwards"""

from tests.illegal.records import Viewer, mt


class Order(mt.Event):
    viewer: Viewer
    at: mt.Time = mt.outcome()
