"""How Sphinx builds these pages: `./aerostat docs`."""

project = "Aerostat"
author = "The Aerostat authors"
html_title = "Aerostat"
extensions = ["myst_parser"]
html_theme = "furo"
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# Pages point at source files, for readers of the repository; there is nothing to build of those.
# Graphs in the words of mermaid are drawn where the repository is browsed; here they stay words.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]
