"""SASRec has no 'dims'; did you mean 'dim'?"""

from tests.illegal.records import mt

mt.SASRec(dims=64)  # pyright: ignore
