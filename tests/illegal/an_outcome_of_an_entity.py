"""Shop.rank is an outcome, and only an event has outcomes"""

from tests.illegal.records import mt


class Shop(mt.Entity):
    shop_id: mt.Key
    rank: mt.Number = mt.outcome()
