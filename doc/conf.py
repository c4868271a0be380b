"""Configuration of the documentation's build: ``sphinx-build -W doc doc/_build``."""

import json
import os
import re
import sys
import urllib.request
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import matplotlib

sys.path.insert(0, str(Path(__file__).parent))

from thumbnails import SIZE, PanelScraper, draw_thumbnails

import skmeta
import skmeta.learners  # Before autodoc: learners write their shared documentation when defined.
from skmeta.search.prior import _shipped

matplotlib.use("Agg")
os.environ["TQDM_DISABLE"] = "1"

project = "skmeta"
author = "The skmeta developers"
project_copyright = f"2026, {author}"
release = skmeta.__version__
version = re.match(r"\d+\.\d+", release).group()

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "**/GALLERY_HEADER.rst"]
default_role = "literal"

# References to other projects are links where their inventories can be fetched, else plain text:
# the site also builds offline. SKMETA_DOC_OFFLINE=1 does not try.
INVENTORIES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "sklearn": "https://scikit-learn.org/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "pandas": "https://pandas.pydata.org/docs/",
    "matplotlib": "https://matplotlib.org/stable/",
    "optuna": "https://optuna.readthedocs.io/en/stable/",
    "gymnasium": "https://gymnasium.farama.org/",
}


def is_online(url):
    """Tell whether an inventory can be fetched."""
    if os.environ.get("SKMETA_DOC_OFFLINE"):
        return False
    try:
        with urllib.request.urlopen(f"{url}objects.inv", timeout=5):
            return True
    except OSError:
        return False


intersphinx_mapping = {name: (url, None) for name, url in INVENTORIES.items() if is_online(url)}

# Every reference to a name or a page has a target. Names of packages whose inventory was not
# fetched cannot be checked.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", rf"{name}\..*") for name in INVENTORIES if name not in intersphinx_mapping
]
nitpick_ignore = [
    # Inherited docstrings of Gymnasium and torch name things without their module.
    ("py:meth", "set_np_random_through_seed"),
    ("py:attr", "_np_random"),
    ("py:attr", "_np_random_seed"),
    ("py:attr", "defaults"),
]
if "python" not in intersphinx_mapping:
    nitpick_ignore.append(("py:mod", "pickle"))

# ``sphinx-build -b linkcheck doc doc/_build/linkcheck`` asks for each address outside of the site.
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_workers = 4
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)([:/]|$)"]
# GitHub writes its anchors by a script, so they are not in the page that the check reads.
linkcheck_anchors_ignore_for_url = [r"https://github\.com/"]
linkcheck_allowed_redirects = {
    r"https://doi\.org/.*": r"https?://.*",
    r"https?://arxiv\.org/.*": r".*",
}

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
templates_path = ["_templates"]
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "subsection_order": ["../examples/tutorials", "*"],
    "filename_pattern": r"plot_",
    "ignore_pattern": r"quickstart\.py|half_cheetah\.py|on_a_cluster\.py|log_to_mlflow\.py",
    "copyfile_regex": r".*\.csv\.gz",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "plot_gallery": True,
    "remove_config_comments": True,
    "thumbnail_size": SIZE,
    "image_scrapers": (PanelScraper(),),
}

html_theme = "pydata_sphinx_theme"
html_title = f"skmeta {version}"
html_static_path = ["_static"]
html_extra_path = ["llms.txt"]
html_css_files = ["skmeta.css"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is set
html_theme_options = {
    "logo": {
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo-dark.svg",
        "alt_text": "skmeta, start page",
    },
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
# Where the site has an address (the environment variable SKMETA_DOC_URL), the header has a menu of
# versions. It reads switcher.json of the newest version, so that older sites list newer ones. The
# newest version is at the address, an earlier one in a folder.
EARLIER_VERSIONS: list[str] = []  # whose sites are kept, newest first
SITE = os.environ.get("SKMETA_DOC_URL")
if SITE is not None:
    html_theme_options |= {
        "switcher": {"json_url": f"{SITE}/switcher.json", "version_match": version},
        "check_switcher": False,  # It would ask for the file of the site that is being built.
        "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
    }
html_sidebars = {page: [] for page in ("index", "install", "whats_new")}

ROOMS = [f"skmeta.{part.name}" for part in iter_modules(skmeta.__path__) if part.name[0] != "_"]


def check_reference(app):
    """Fail if a public name is not in the API reference."""
    text = (Path(app.srcdir) / "api" / "index.rst").read_text(encoding="utf-8")
    for room in ROOMS:
        _, _, section = text.partition(f".. currentmodule:: {room}\n")
        section = section.partition(".. automodule::")[0]
        listed = set(re.findall(r"^   (\w+)$|^\.\. py:data:: (\w+)$", section, re.M))
        missing = set(import_module(room).__all__) - {a or b for a, b in listed}
        if missing:
            raise ValueError(f"doc/api/index.rst does not list {sorted(missing)} of {room}.")


def write_priors(app):
    """Write the cards of the shipped priors as tables, for ``shipped_priors.rst``."""
    cards = _shipped._cards()
    rows, sources, names = [], {}, set()
    for estimator, card in cards.items():
        for metric, figures in card["metrics"].items():
            needed, n = figures["evaluations random search needs"], figures["evaluations on record"]
            rows.append(
                f"{estimator},{metric},{len(figures['datasets'])},{figures['n_evaluations']},"
                f"{figures['regret at 10']:.3f},{figures['regret at 10, random search']:.3f},"
                f"{needed:.0f} of {n}"
            )
            names |= set(figures["datasets"])
        for source in card["sources"]:
            sources.setdefault(source, []).append(estimator)
    lines = [
        ".. csv-table::",
        "   :header: estimator, metric, data sets, configurations, regret at 10, of random search, "
        "random needs",
        "",
        *(f"   {row}" for row in rows),
        "",
        "Sources:",
        "",
        *(f"* {source}: {', '.join(of)}" for source, of in sources.items()),
        "",
        "Data sets: " + ", ".join(sorted(n for n in names if not n.startswith("openml "))) + ";",
        f"and {sum(n.startswith('openml ') for n in names)} tasks of OpenML.",
        "",
    ]
    folder = Path(app.srcdir) / "api" / "generated"
    folder.mkdir(exist_ok=True)
    (folder / "shipped_priors.inc").write_text("\n".join(lines))


def redraw_thumbnails(app):
    """Let wide figures be shown by their first panel in the gallery."""
    draw_thumbnails(Path(app.srcdir) / "auto_examples")


def link_pages(app, path, document, content):
    """Turn README's links to files of pages into links to these pages, where a page includes it."""
    if path.name == "README.rst":
        content[0] = re.sub(r"`([^`<]+) <doc/([\w/-]+)\.rst>`__?", r":doc:`\1 <\2>`", content[0])


def write_switcher(app, exception):
    """Write the list of versions that the menu in the header shows."""
    if SITE is None or exception is not None or app.builder.name != "html":
        return
    entries = [{"name": f"{version} (newest)", "version": version, "url": f"{SITE}/"}]
    entries[0]["preferred"] = True
    entries += [{"version": v, "url": f"{SITE}/{v}/"} for v in EARLIER_VERSIONS]
    (Path(app.outdir) / "switcher.json").write_text(json.dumps(entries, indent=2) + "\n")


def drop_modules_without_source(app):
    """Leave out of the list of sources what has none, such as ``builtins``."""
    modules = getattr(app.env, "_viewcode_modules", {})
    for name in [name for name, source in modules.items() if not source]:
        del modules[name]
    return []  # no pages of its own


def skip_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn, torch and named tuples add, and the algorithm of a learner."""
    added = name == "get_metadata_routing" or (name[:4] == "set_" and name.endswith("_request"))
    added |= (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    added |= (getattr(obj, "__module__", None) or "").startswith("torch.")
    return True if added or name == "algorithm" else None


def prepare_docstring(app, what, name, obj, options, lines):
    """Escape ``(n, *input_shape)`` and ``(n_features_in_,)``; unlink scikit-learn's own pages."""
    for i, line in enumerate(lines):
        pieces = line.split("``")  # Every second part is literal.
        for k in range(0, len(pieces), 2):
            pieces[k] = re.sub(r"(?<=[ (])\*(?=\w+[,)])", r"\\*", pieces[k])
            pieces[k] = re.sub(r"(?<=\(n_features_in)_(?=[,)])", r"\\_", pieces[k])
            pieces[k] = re.sub(r":ref:`([^<`]+) <[^>]+>`", r"\1", pieces[k])
            pieces[k] = re.sub(r":term:`([^<`]+)`", r"`\1`", pieces[k])
        lines[i] = "``".join(pieces)


def setup(app):
    """Connect the functions above."""
    app.connect("builder-inited", check_reference)
    app.connect("builder-inited", write_priors)
    app.connect("builder-inited", redraw_thumbnails, priority=900)  # after Sphinx-Gallery
    app.connect("include-read", link_pages)
    app.connect("build-finished", write_switcher)
    app.connect("html-collect-pages", drop_modules_without_source, priority=400)  # before viewcode
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=1)  # before numpydoc
