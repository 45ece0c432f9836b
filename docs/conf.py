"""How `scripts/docs` builds the documentation: Sphinx with MyST, every warning an error."""

from ftaudit import __version__

project = "ftaudit"
author = "The ftaudit developers"
release = version = __version__
extensions = ["myst_parser"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"ftaudit {__version__}"
html_show_sphinx = False
nitpicky = True
