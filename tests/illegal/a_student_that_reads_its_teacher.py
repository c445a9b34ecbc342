"""reads what teacher says, and so cannot do without it
help: give the student what the teacher reads, or something cheaper
"""

from tests.illegal.records import Visit, mt

teacher = mt.Logistic()(Visit.viewer.age, target=Visit.rating >= 4)
student = mt.Logistic()(teacher, target=Visit.rating >= 4)
mt.distill(teacher, student)
