"""Shop.name is declared as str, which is no column type
help: use Key Text Number
"""

from tests.illegal.records import mt


class Shop(mt.Entity):
    shop_id: mt.Key
    name: str
