"""Serves a fitted graph over HTTP."""

from motet.serve.engine import Limits as Limits
from motet.serve.process import Settings as Settings
from motet.serve.process import serve as serve
