"""How the documentation is built: ``make docs``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import geodet  # noqa: E402

project = "geodet"
author = copyright = "The geodet developers"
version = release = geodet.__version__

extensions = [
    "myst_nb",  # reads what myst_parser reads, and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "from_code",
    "included_files",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "images/README.md"]
nb_execution_mode = "off"  # python docs/execute_notebook.py stores what the cells show
nb_mime_priority_overrides = [("html", "image/png", 0)]
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
smartquotes = False  # options begin with two dashes
myst_heading_anchors = 3  # [text](page.md#heading) is checked, too
suppress_warnings = ["myst.header"]  # a card and the benchmarks begin below a page's own title

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = f"geodet {release}"
html_static_path = ["_static"]
html_css_files = ["geodet.css"]
html_copy_source = False
html_show_sourcelink = False
_alone = (
    "index",
    "architecture",
    "coming-from",
    "gallery",
    "contributing",
    "changelog",
)
html_sidebars = {page: [] for page in _alone}
html_theme_options = {
    "logo": {"text": "geodet"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
