"""entity Shop has no Key
help: name it by exactly one: shop_id: mt.Key
"""

from tests.illegal.records import mt


class Shop(mt.Entity):
    name: mt.Text
