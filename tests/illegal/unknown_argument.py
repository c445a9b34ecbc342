"""unexpected keyword argument 'dims'"""

from tests.illegal.records import mt

mt.SASRec(dims=64)  # pyright: ignore
