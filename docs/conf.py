"""How `scripts/docs` builds the documentation: Sphinx with MyST, every warning an error."""

from ftaudit import __version__

project = "ftaudit"
author = "The ftaudit developers"
copyright = "2026, The ftaudit developers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_enable_extensions = ["deflist"]
autodoc_typehints = "description"
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"ftaudit {__version__}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
nitpicky = True
# Types in signatures that no page describes (of the standard library, and parts of the model).
nitpick_ignore_regex = [("py:class", r".*")]
