"""The rule pack of ftaudit: one file a rule, named after it."""

PACKAGE_RULES = (
    "abi3_only_wheel",
    "abi3_so_in_ft_env",
    "binary_gil_used",
    "binary_no_gil_declaration",
    "classifier_contradicts_wheels",
    "ft_wheel_coverage_gap",
    "ft_wheel_python_gap",
    "gil_reenabled_on_import",
    "image_tag_mismatch",
    "import_fails_on_ft",
    "inline_refcount_mismatch",
    "missing_ft_classifier",
    "no_free_threaded_wheel",
    "platforms_disagree",
    "runtime_contradicts_binary",
    "soabi_tag_mismatch",
    "tag_contradicts_binary",
)
"""The modules whose rules judge packages: an audit without source imports no others."""
