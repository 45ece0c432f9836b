"""The rule pack of ftaudit: one file a rule, named after it, in a folder for what the rule reads."""
