"""Fitted estimators in files without pickle: skops, and the types that it may build.

A file is what skops writes and a digest of it, compressed as a whole. So a value that was edited is
seen when the file is read, not in a prediction. Anyone can compute the digest: reading builds
objects of trusted types only, and of trees and sparse arrays, whose numbers are positions in
memory, these numbers are checked, too.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import lzma
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import sklearn
from scipy.sparse import issparse

from skmeta._files import atomic_writer, skmeta_version
from skmeta._optional import import_optional
from skmeta._sklearn_compat import (
    find_wrong_tree,
    metric_functions,
    restore_loss,
    without_array_adapters,
    without_losses,
)
from skmeta._tabular import Member, TreeEnsemble
from skmeta.exceptions import FileFormatError, SkmetaError
from skmeta.grouped import FittedModel

with without_array_adapters():
    skops_io = import_optional("skops.io", "skops")

__all__ = ["TRUSTED_TYPES", "dump", "load"]


def _name_of(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__name__}"


# Unpacked bytes: per byte of the file, and in addition. Members of the archive within.
_MAX_PER_BYTE, _MAX_BYTES, _MAX_MEMBERS = 500, 2**24, 100_000
_DIGEST = "skmeta.sha256"  # the member that has the digest of all others

# What is beside the values of a grouped table, which are found by their fields.
_SKMETA = """
_columns._encoder.FrameEncoder _columns._times.Times
few_shot._priors.RunSettings few_shot._members.Ensemble few_shot._ordered.Cumulative
few_shot._ordered.Frequencies few_shot._ordered.PriorModel few_shot._target_scale.TargetScale
few_shot._classifier.MetaFewShotClassifier few_shot._regressor.MetaFewShotRegressor
grouped._classifier.GroupedClassifier grouped._columns.FeatureColumns
grouped._regressor.GroupedRegressor
learners._maml.ANIL learners._fine_tuning.FineTuning learners._maml.MAML
learners._meta_sgd.MetaSGD learners._protonet.ProtoNet learners._reptile.Reptile
backbones._architecture.Architecture backbones._architecture.Edge
learners._metanas.MetaNAS learners.auto._learner.AutoLearner learners.hierarchical._alpaca.ALPaCA
learners.hierarchical._learner.HierarchicalLinear learners.in_context._learner.InContextLearner
learners.learned_optimizers._learned_optimizer.LearnedOptimizer
learners.learned_optimizers._lstm.LSTMMetaLearner
policy._learners.PolicyMAML policy._policy.MetaPolicy
priors._prior.MetaPrior
search._search_cv.MetaLearnedSearchCV search.prior._past_surfaces.PastTask
search.prior._prior.SearchPrior search.space._encoding.Encoding search.space._encoding._Parameter
_tabular._linear.RidgeClassifier _tabular._population.MeanOfClasses _tabular._population._Logistic
_tabular._population.Population
_tabular._population.silent _tabular._process.GaussianProcess _tabular._process.Inputs
_tabular._process.Kernel _tabular._rows.WeightedRows _tabular._trees.FittedTrees
"""
# Nothing of scipy.stats: a distribution runs code that is in its attributes when it is loaded.
_OTHERS = """
functools.partial scipy.sparse._csr.csr_array
sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
sklearn.metrics._scorer._MultimetricScorer sklearn.metrics._scorer._PassthroughScorer
sklearn.metrics._scorer._Scorer sklearn.tree._tree.Tree
sklearn.utils._metadata_requests.MetadataRequest
sklearn.utils._metadata_requests.MethodMetadataRequest sklearn.utils.validation.check_array
torch.device
"""
# Scikit-learn 1.6 has it in gradient boosting with categories; later versions do not.
_EARLIER = ("sklearn.compose._column_transformer._RemainderColsList",)


def _values_of(*roots: type) -> set[str]:
    """Return names of the values of skmeta, dataclasses and named tuples, that fields may hold.

    They are reached from the roots by the annotations of fields, and by subclasses.
    """
    reached, queue = set[type](), list[Any](roots)
    while queue:
        part = queue.pop()
        queue += get_args(part)
        if inspect.isclass(part) and part.__module__.startswith("skmeta.") and part not in reached:
            reached.add(part)
            queue += [*part.__subclasses__(), *get_type_hints(part).values()]
    values = {kind for kind in reached if is_dataclass(kind) or hasattr(kind, "_fields")}
    return {_name_of(kind) for kind in values if not inspect.isabstract(kind)}


TRUSTED_TYPES: tuple[str, ...] = (
    *sorted(
        {f"skmeta.{name}" for name in _SKMETA.split()}
        | _values_of(FittedModel, Member, TreeEnsemble)
    ),
    *_OTHERS.split(),
    *_EARLIER,
    *sorted(map(_name_of, metric_functions())),
)
"""Types and functions that a file may name, besides those that skops trusts itself. None of them
runs code of the file. MLflow takes the list, too, as ``skops_trusted_types``."""


def dump(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save a fitted estimator without pickle.

    A prior that comes with skmeta is not copied into the file, which has its name and digest.

    Parameters
    ----------
    estimator : estimator
        A few-shot estimator, a grouped estimator, a search, a policy or a learner, or a pipeline
        of scikit-learn with one.
    path : str or path-like
        Where to write; an existing file is replaced. The folder must exist.

    Raises
    ------
    ImportError
        If skops is not installed.
    FileNotFoundError
        If the folder does not exist.
    TypeError
        If the estimator holds something that skops cannot save, such as a network of your own.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_wine
    >>> from skmeta import MetaFewShotClassifier
    >>> from skmeta.bridges import skops
    >>> X, y = load_wine(return_X_y=True)
    >>> path = Path(tempfile.mkdtemp()) / "wines.skops"
    >>> skops.dump(MetaFewShotClassifier().fit(X[::9], y[::9]), path)
    >>> clf = skops.load(path)
    >>> bool(clf.score(X, y) > 0.9)
    True
    """
    try:
        with without_losses(_parts(estimator)):
            content = skops_io.dumps(estimator)
    except Exception as error:  # skops runs code of the parts, which may raise anything
        raise TypeError(
            f"This {type(estimator).__name__} cannot be saved without pickle: {error}. A network "
            "of your own cannot; save the prior, with estimator.prior_.save(path)."
        ) from error
    with atomic_writer(path) as file:
        file.write(lzma.compress(_with_digest(content)))


def load(path: str | os.PathLike[str], *, trusted: Sequence[str | type] = ()) -> Any:
    """Load an estimator that :func:`dump` saved. The file may come from a stranger.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : sequence of str or type, default=()
        More types that may be built, such as that of an estimator of your own within a search.
        Trust what you know only.

    Returns
    -------
    estimator : estimator
        It predicts what the saved one did.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileFormatError
        If the file is damaged, needs types that are not trusted, or was written by versions whose
        estimators have other parts.
    PriorError
        If this version of skmeta does not have the prior that the estimator was fitted from.

    Warns
    -----
    InconsistentVersionWarning
        Scikit-learn's, for estimators of another version of scikit-learn within.
    """
    place = repr(os.fspath(path))
    content = _read(Path(path), place)
    types = [*TRUSTED_TYPES, *(t if isinstance(t, str) else _name_of(t) for t in trusted)]
    try:
        unknown = set(skops_io.get_untrusted_types(data=content)) - set(types)
    except Exception as error:  # damaged bytes may break skops anywhere
        raise FileFormatError(f"{place} is damaged: {error}. Copy or save it again.") from error
    if unknown:
        raise FileFormatError(
            f"{place} needs types that are not trusted: {', '.join(sorted(unknown))}. If you know "
            "where the file comes from and what they do, pass them as trusted=[...]."
        )
    try:
        estimator = skops_io.loads(content, trusted=types)
        parts = list(_parts(estimator))
        wrong = next(filter(None, map(_find_fault, parts)), None)
        for part in parts:
            restore_loss(part)
            if issparse(part):
                part.check_format(full_check=True)
    except SkmetaError:
        raise
    except Exception as error:  # parts of an altered file may not fit together anywhere
        raise FileFormatError(
            f"{place} does not hold what scikit-learn {sklearn.__version__} and skmeta "
            f"{skmeta_version()} can build ({error}). Install the versions that wrote it, or fit "
            "again."
        ) from error
    if wrong is not None:
        raise FileFormatError(f"{place} was altered: {wrong}. Do not use it.")
    return estimator


def _find_fault(part: Any) -> str | None:
    """Return what is wrong with a part that holds positions in memory."""
    return part.find_fault() if isinstance(part, TreeEnsemble) else find_wrong_tree(part)


def _read(path: Path, place: str) -> bytes:
    """Return the skops file in a file."""
    packed = path.read_bytes()
    most_bytes = _MAX_PER_BYTE * len(packed) + _MAX_BYTES
    unpacking = lzma.LZMADecompressor()
    try:
        content = unpacking.decompress(packed, most_bytes)
        is_whole = unpacking.eof
        # The archive says how large its members are, and is not read further than that.
        members = zipfile.ZipFile(io.BytesIO(content)).infolist() if is_whole else []
    except (lzma.LZMAError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"{place} is no file of skmeta.bridges.skops.dump, or is damaged: {error}."
        ) from error
    is_small = len(members) <= _MAX_MEMBERS and sum(m.file_size for m in members) <= most_bytes
    if not (is_whole and is_small):
        raise FileFormatError(f"{place} is cut short, or unpacks to too many bytes. Do not use it.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            is_sound = archive.read(_DIGEST) == _digest(archive)
    except Exception as error:  # a damaged member may break its decompression anywhere
        raise FileFormatError(
            f"{place} is no file of skmeta.bridges.skops.dump, or is damaged: {error}."
        ) from error
    if not is_sound:
        raise FileFormatError(
            f"{place} was altered after it was written: its digest is another. Save it again."
        )
    return content


def _with_digest(content: bytes) -> bytes:
    """Return an archive with the digest of its members."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        digest = _digest(archive)
        archive.writestr(_DIGEST, digest)
    return buffer.getvalue()


def _digest(archive: zipfile.ZipFile) -> bytes:
    """Return the digest of names and contents of the members of an archive."""
    total = hashlib.sha256()
    for member in archive.infolist():
        if member.filename != _DIGEST:
            for part in (member.filename.encode(), archive.read(member)):
                total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest().encode()


def _parts(root: Any) -> Iterator[Any]:
    """Yield an object and all that it holds."""
    seen, queue = set(), [root]
    while queue:
        part = queue.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            queue += part.values()
        elif isinstance(part, list | tuple | set | frozenset):
            queue += part
        elif getattr(getattr(part, "dtype", None), "hasobject", False):
            queue += list(part.flat)
        else:
            queue += getattr(part, "__dict__", {}).values()
