"""How Sphinx builds these pages. Nothing here needs the network."""

from __future__ import annotations

import configparser
from pathlib import Path

_metadata = configparser.ConfigParser()
_metadata.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")

project = "flask-mesh-sessions"
author = "The flask-mesh-sessions authors"
copyright = author
release = version = _metadata["metadata"]["version"]

extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
