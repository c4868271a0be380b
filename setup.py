"""The metadata is in pyproject.toml; here is how a source distribution is packed, and its page."""

import gzip
import os
import re
import tarfile
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist


class ReproducibleSdist(sdist):
    """Pack the same files to the same bytes where SOURCE_DATE_EPOCH is set."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **options):
        """Write files in the order of their names, all of that date and of no owner."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **options)

        def plain(entry):
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = int(epoch), 0, 0, "", ""
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            return entry

        path = f"{base_name}.tar.gz"
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=int(epoch)) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            archive.add(base_dir, filter=plain)  # In the order of names.
        return path


def readme_for_an_index():
    """Return README.rst with links to the repository, since a package index has no other files."""
    folder = Path(__file__).parent
    source = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    text = (folder / "README.rst").read_text()
    text = re.sub(r"<(?=[\w/-]+\.rst>)", f"<{source}/blob/main/", text)
    return re.sub(r"(?<=image:: )(?=doc/)", f"{source}/raw/main/", text)


setup(
    cmdclass={"sdist": ReproducibleSdist},
    long_description=readme_for_an_index(),
    long_description_content_type="text/x-rst",
)
