"""Find links within a built site that lead nowhere: ``python doc/check_links.py doc/_build``.

With ``--no-gallery``, pictures of examples are not looked for: nothing has drawn them.
Addresses on other sites are those that ``sphinx-build -b linkcheck`` asks for.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places in it that a link can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what one tag has."""
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.places.add(value or "")
            elif name in ("href", "src") and value:
                self.links.add(value)


def find_dead_links(site: Path) -> list[str]:
    """Return a line for each link that leads to no file, or to no place in a page.

    Parameters
    ----------
    site : Path
        The folder that Sphinx has written.

    Returns
    -------
    list of str
    """
    pages = {
        path.resolve(): Page(path)
        for path in site.rglob("*.html")
        if "_static" not in path.parts  # templates of the theme
    }
    dead = []
    for path, page in pages.items():
        for link in sorted(page.links):
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = path if not address.path else (path.parent / unquote(address.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                dead.append(f"{path.relative_to(site.resolve())}: {link} is no file")
            elif target in pages and unquote(address.fragment) not in pages[target].places:
                dead.append(f"{path.relative_to(site.resolve())}: {link} is no place in the page")
    return dead


if __name__ == "__main__":
    dead = find_dead_links(Path(sys.argv[1]))
    if "--no-gallery" in sys.argv:
        dead = [line for line in dead if "auto_examples/" not in line or "/images/" not in line]
    print("\n".join(dead) or "Every link within the site leads somewhere.")
    sys.exit(bool(dead))
