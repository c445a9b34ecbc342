"""a student learns event by event, and teacher exists once per {Visit}, student once per {Click}
help: both read what one event says, such as Review.text
"""

from tests.illegal.records import Click, Visit, mt

teacher = mt.Logistic()(Visit.viewer.age, target=Visit.rating >= 4)
student = mt.Logistic()(Click.viewer.age, target=Click.useful)
mt.distill(teacher, student)
