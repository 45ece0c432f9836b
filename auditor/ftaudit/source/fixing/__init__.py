"""Fixes of findings: requested from the rules, mapped to the bytes of each file, selected, applied and written."""
