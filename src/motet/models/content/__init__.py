"""Models of what things are about: words, meaning, pictures."""
