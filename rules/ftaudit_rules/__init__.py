"""The rule pack of ftaudit: one file a rule, named after it."""
