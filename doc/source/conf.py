# SPDX-License-Identifier: Apache-2.0
"""How is the documentation built? (tox -e docs)"""

project = "Karbor"
copyright = "Karbor contributors"  # noqa: A001 - the name Sphinx wants
extensions = ["reno.sphinxext"]
source_suffix = {".rst": "restructuredtext"}
root_doc = "index"
nitpicky = True
html_theme = "alabaster"
html_theme_options = {"description": "Application data protection", "fixed_sidebar": True}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
pygments_style = "sphinx"
