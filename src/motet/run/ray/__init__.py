"""Runs a graph on Ray. Nothing outside this folder imports Ray, and `config` does so only when it is used."""
