"""Where a graph runs."""
