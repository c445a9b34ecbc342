"""From what a source gives to typed columns, and what is wrong with it on the way."""
