"""The readers of input formats, one file for each format."""
