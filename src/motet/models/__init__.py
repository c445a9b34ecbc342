"""Models: one file each, by what they do: predict behavior, or understand content."""
