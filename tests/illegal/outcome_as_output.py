"""output 'rating' is an outcome of Visit"""

from tests.illegal.records import Visit, mt

mt.Graph(rating=Visit.rating)
