"""skmeta: meta-learning behind the scikit-learn API.

What was learned on earlier tasks is a prior; a new task starts from it.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmeta.few_shot import MetaFewShotClassifier, MetaFewShotRegressor
    from skmeta.grouped import GroupedClassifier, GroupedRegressor
    from skmeta.priors import MetaPrior
    from skmeta.search import MetaLearnedSearchCV, SearchHistory

__all__ = [
    "GroupedClassifier",
    "GroupedRegressor",
    "MetaFewShotClassifier",
    "MetaFewShotRegressor",
    "MetaLearnedSearchCV",
    "MetaPrior",
    "SearchHistory",
]

try:
    __version__ = version("skmeta")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+unknown"

# Where each name of the front door lives. It is imported when first touched, so that
# `import skmeta` does not load torch.
_ROOMS = {
    "GroupedClassifier": "skmeta.grouped",
    "GroupedRegressor": "skmeta.grouped",
    "MetaFewShotClassifier": "skmeta.few_shot",
    "MetaFewShotRegressor": "skmeta.few_shot",
    "MetaLearnedSearchCV": "skmeta.search",
    "MetaPrior": "skmeta.priors",
    "SearchHistory": "skmeta.search",
}
_MODULES = (
    "backbones",
    "bridges",
    "datasets",
    "exceptions",
    "few_shot",
    "grouped",
    "learners",
    "plotting",
    "policy",
    "priors",
    "search",
    "tasks",
    "testing",
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"skmeta.{name}")
    if name not in _ROOMS:
        raise AttributeError(f"module 'skmeta' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
