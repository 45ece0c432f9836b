"""Turns facts into verdicts: the only table that decides, what is wrong with a module, and the next step."""
