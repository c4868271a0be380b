"""Thumbnails of the gallery: the first panel of a wide figure, drawn large enough to be read."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import matplotlib_scraper
from sphinx_gallery.utils import scale_image

_WIDE = 1.7  # width over height, from which a figure with several panels is too wide
SIZE = (640, 400)  # pixels
_NUMBER = re.compile(r"sphinx_gallery_thumbnail_number = (\d+)")


class PanelScraper:
    """Saves figures as Sphinx-Gallery does and, of a wide one, the first panel in a second file."""

    def __repr__(self) -> str:
        return "PanelScraper"  # Sphinx compares the settings of two builds by their text.

    def __call__(self, block: Any, block_vars: dict[str, Any], conf: Any, **kwargs: Any) -> Any:
        drawn = [_draw_first_panel(plt.figure(number)) for number in plt.get_fignums()]
        text = matplotlib_scraper(block, block_vars, conf, **kwargs)
        paths = block_vars["image_path_iterator"].paths
        for path, content in zip(paths[len(paths) - len(drawn) :], drawn, strict=True):
            if content is not None:
                _panel_of(Path(path)).write_bytes(content)
        return text


def draw_thumbnails(gallery: Path) -> None:
    """Replace thumbnails by the panels that were saved.

    Parameters
    ----------
    gallery : Path
        The folder that Sphinx-Gallery has written.
    """
    for thumbnail in gallery.rglob("images/thumb/*_thumb.png"):
        images = thumbnail.parents[1]
        name = thumbnail.name.removesuffix("_thumb.png")
        source = images.parent / f"{name.removeprefix('sphx_glr_')}.py"
        if not source.exists():
            continue
        match = _NUMBER.search(source.read_text(encoding="utf-8"))
        panel = _panel_of(images / f"{name}_{int(match[1]) if match else 1:03d}.png")
        if panel.exists():
            scale_image(str(panel), str(thumbnail), *SIZE)


def _panel_of(image: Path) -> Path:
    return image.with_suffix(".panel.png")


def _draw_first_panel(figure: Figure) -> bytes | None:
    """Return the picture of the first panel of a wide figure, else None."""
    width, height = figure.get_size_inches()
    if len(figure.axes) < 2 or width / height < _WIDE:
        return None
    figure.canvas.draw()
    box = figure.axes[0].get_tightbbox().transformed(figure.dpi_scale_trans.inverted())
    content = BytesIO()
    figure.savefig(content, format="png", dpi=200, bbox_inches=box.padded(0.06))
    return content.getvalue()
