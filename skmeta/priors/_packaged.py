"""Files of the priors in the package, and what stands for such a prior in a pickle.

A pickle has a copy of every other prior. Of these it has the name and the digest. ``cls`` is
:class:`MetaPrior`, whose module imports this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from skmeta._files import skmeta_version
from skmeta.exceptions import PriorError

_FOLDER = Path(__file__).parent / "data"


def packaged_names() -> list[str]:
    """Return the names of the files, without their suffix."""
    return sorted(path.stem for path in _FOLDER.glob("*.skmeta"))


@cache
def load_packaged(cls: Any, name: str) -> Any:
    """Load a prior from the package, once per process; `name` is one of :func:`packaged_names`."""
    prior = cls.load(_FOLDER / f"{name}.skmeta")
    vars(prior)["_packaged_as"] = name
    return prior


def reference(prior: Any) -> dict[str, Any]:
    """Return what stands for a prior of the package."""
    version = skmeta_version()
    return {"name": prior._packaged_as, "digest": prior.digest, "skmeta_version": version}


def dereference(cls: Any, state: Mapping[str, Any]) -> Any:
    """Return the prior that a :func:`reference` stands for.

    Raises
    ------
    PriorError
        If this version of skmeta has no such prior, or another one of that name.
    """
    name, version = state["name"], state["skmeta_version"]
    if name not in packaged_names():
        now = "no prior of this name"
    elif (prior := load_packaged(cls, name)).digest == state["digest"]:
        return prior
    else:
        now = f"another prior of this name, with digest {prior.digest[:12]}"
    raise PriorError(
        f"What is loaded was fitted by skmeta {version} from the prior {name!r} of the package, "
        f"with digest {state['digest']:.12}, but skmeta {skmeta_version()} has {now}. Install "
        f"skmeta {version}, or fit again."
    )
