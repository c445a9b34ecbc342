"""help:"""

from tests.illegal.records import Film, Viewer, mt

mt.retrieve(Film, k=10, by=[Viewer.age * 1.0])
