"""Check the contents and the size of a built wheel and source distribution."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

LARGEST = 25_000_000  # bytes
# Not needed to use the package, and large.
LEFT_OUT = re.compile(r"^(benchmarks|doc|examples)/")
# A link or a picture of README that a package index cannot show.
RELATIVE = re.compile(r"<[\w/-]+\.rst>|image:: (?!https?://)\S+")


def check(folder: Path) -> list[str]:
    """Return what is wrong with the packages in a folder."""
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    tracked = subprocess.run(
        ["git", "ls-files", "skmeta", "LICENSE"], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    wanted = {name for name in tracked if name}
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        [entry] = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
        commands = archive.read(entry).decode()
        page = archive.read(entry.replace("entry_points.txt", "METADATA")).decode()
    faults = []
    in_package = {name for name in names if ".dist-info/" not in name}
    licences = {name for name in wanted if Path(name).name.startswith("LICENSE")}
    faults += [f"wheel: {name} is missing" for name in wanted - in_package - licences]
    faults += [f"wheel: {name} does not belong there" for name in in_package - wanted]
    for licence in licences:
        copies = [name for name in names if name.endswith(f"/{Path(licence).name}")]
        if len(copies) != 1:
            faults.append(f"wheel: {licence} is there {len(copies)} times, not once")
    if "skmeta = skmeta.__main__:main" not in commands:
        faults.append("wheel: the command skmeta is missing")
    faults += [f"metadata: {link} is relative" for link in RELATIVE.findall(page)]
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    faults += [f"sdist: {name} is missing" for name in (wanted | {"pyproject.toml"}) - inside]
    faults += [f"sdist: {name} does not belong there" for name in inside if LEFT_OUT.match(name)]
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        if path.stat().st_size > LARGEST:
            faults.append(f"{path.name} is larger than {LARGEST / 1e6:.0f} MB")
    return sorted(faults)


if __name__ == "__main__":
    found = check(Path(sys.argv[1]))
    print("\n".join(found))
    sys.exit(bool(found))
