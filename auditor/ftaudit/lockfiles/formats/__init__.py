"""The readers of input formats, one file a format."""
