"""Models of what people do: what they like, buy, watch, and when they cheat."""
