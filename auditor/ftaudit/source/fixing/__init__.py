"""Fixes of findings: asked of the rules, mapped to the bytes of each file, selected, applied and written."""
