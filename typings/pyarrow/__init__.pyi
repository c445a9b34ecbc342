# pyarrow has no types of its own, and the stubs that exist lag six versions behind and refuse what runs.
# So it is the one library whose untyped edge is here and not a cast at every call: all of it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
