"""The rule pack of ftaudit: one file for each rule, with the rule's name, in a folder for each kind of input."""
