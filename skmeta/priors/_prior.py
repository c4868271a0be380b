"""The prior: what was learned on earlier tasks, frozen."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

import numpy as np

from skmeta._copies import Immutable, Made
from skmeta._html import facts_table
from skmeta._validation import count, quote_some
from skmeta.exceptions import PriorError
from skmeta.priors._file import (
    FIELDS,
    check_fields,
    compute_digest,
    dereference,
    freeze,
    freeze_labels,
    freeze_tensor,
    freeze_tuple,
    is_of_rows,
    load_packaged,
    packaged_names,
    read_prior,
    reference,
    thaw,
    write_prior,
)
from skmeta.priors._rows import warn_if_seen

# All fields but the tensors and the module.
_FIELDS = tuple(name for name in FIELDS if name != "user_module")
_LONGEST_COLLECTION = 10

Prior = TypeVar("Prior", bound="MetaPrior")


class MetaPrior(Immutable, Made):
    """What a meta-learner carries from earlier tasks to the next.

    A prior is immutable. Clones and copies of an estimator share one prior. Two priors are equal
    if their contents are equal.

    A learner makes it (``prior_``), :meth:`load` reads one, and :meth:`replace` changes one.

    Attributes
    ----------
    tensors : mapping of str to ndarray
        Learned arrays of any shape, float16 to float64, by name: ``"body.blocks.0.weight"``,
        ``"head.weight"``, ``"scaler.x_mean"``, ... They are copied and made read-only. Those of
        ``"rows."`` are digests of the rows of the meta-training, and their units.
    learner : str
        Name of the meta-learning algorithm.
    learner_params : mapping
        Its settings. Values, here and in `backbone_params` and `provenance`, are None, bools,
        numbers, strings, and sequences and mappings of these; sequences are kept as tuples.
    backbone : str or None
        Name of the network, or the qualified class name of `module`.
    backbone_params : mapping
        Settings of the network.
    kind : {"classification", "regression", "policy", "optimizer"}
        What the tasks are; ``"policy"``: environments, in which a policy is to act;
        ``"optimizer"``: losses that are to be minimised.
    n_features_in : int or None
        Number of features of a row, None if any number will do.
    feature_names_in : sequence of str of length n_features_in
        Names of the features.
    input_shape : tuple of int
        Shape in which the network takes a row, such as ``(1, 28, 28)``.
    classes : sequence of shape (n_classes,)
        Label of each learned row of the head: all bools, all ints, all floats or all strings.
    trained_on : sequence of shape (n_labels,)
        Labels of the classes or groups seen in meta-training, of one type as in `classes`.
    trained_on_kind : {"classes", "groups"}
        What `trained_on` names. Required with `trained_on`, and only then.
    provenance : mapping
        Where the prior comes from: versions, number of iterations, validation score, ...
    module : torch.nn.Module
        A user's network that is the backbone. It is not saved and does not affect `digest`.
    digest : str
        SHA-256 of the contents, 64 hexadecimal digits.
    n_parameters : int
        Number of learned values; what describes the rows is not counted.
    needs_module : bool
        Whether the backbone is a user's network that was not given.

    Examples
    --------
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML
    >>> X, y, groups = make_sinusoid_tasks(n_tasks=50, random_state=0)
    >>> prior = MAML(n_shot=5, n_iterations=20, random_state=0).fit(X, y, groups=groups).prior_
    >>> prior
    MetaPrior(MAML on mlp, regression, 1 feature, trained on 45 groups, ...)
    >>> prior.replace(learner_params={"inner_lr": 0.1}) == prior
    False
    """

    tensors: Mapping[str, np.ndarray]
    learner: str
    learner_params: Mapping[str, Any]
    backbone: str | None
    backbone_params: Mapping[str, Any]
    kind: str
    n_features_in: int | None
    feature_names_in: tuple[str, ...] | None
    input_shape: tuple[int, ...] | None
    classes: np.ndarray | None
    trained_on: np.ndarray | None
    trained_on_kind: str | None
    provenance: Mapping[str, Any]
    module: Any

    _user_module: bool
    _packaged_as: str | None = None  # the name of its file in the package
    _made_by = "load"
    _advice = "Make a changed prior with prior.replace(...)."

    @classmethod
    def _create(cls, tensors: Mapping[str, Any], **fields: Any) -> Self:
        """Make a prior of checked, frozen copies; fields that are left out are None."""
        unknown = fields.keys() - {*_FIELDS, "module"}
        if unknown:
            raise TypeError(f"A MetaPrior has no field {', '.join(sorted(unknown))}.")
        given = dict.fromkeys((*_FIELDS, "module")) | fields
        check_fields(given)
        mappings = ("learner_params", "backbone_params", "provenance")
        names, n_features = given["feature_names_in"], given["n_features_in"]
        frozen = given | {
            "tensors": MappingProxyType({n: freeze_tensor(n, tensors[n]) for n in sorted(tensors)}),
            "n_features_in": None if n_features is None else int(n_features),
            "feature_names_in": freeze_tuple(names, str),
            "input_shape": freeze_tuple(given["input_shape"], int),
            "classes": freeze_labels(given["classes"], "classes"),
            "trained_on": freeze_labels(given["trained_on"], "trained_on"),
            "_user_module": given["module"] is not None,
            **{name: freeze(dict(given[name] or {}), name) for name in mappings},
        }
        return cls._make(**frozen)

    # -- immutable and shared ------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        if self._packaged_as is not None:
            return reference(self)
        fields = self._metadata()
        return {"tensors": dict(self.tensors), "fields": fields, "module": self.module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        is_reference = "tensors" not in state
        cls = type(self)
        prior = dereference(cls, state) if is_reference else _rebuild(**state, cls=cls)
        vars(self).update(vars(prior))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MetaPrior):
            return NotImplemented
        return self is other or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def replace(self, **changes: Any) -> Self:
        """Return a new prior with some fields changed.

        Parameters
        ----------
        **changes
            Attributes and their new values.

        Returns
        -------
        prior : MetaPrior
            The changed prior. This prior does not change.

        Raises
        ------
        TypeError
            If a field does not exist, a tensor has another dtype than float16 to float64, a setting
            cannot be written as JSON, or labels mix types.
        ValueError
            If `kind`, `trained_on_kind` or the number of `feature_names_in` is wrong.
        """
        known = {name: getattr(self, name) for name in ("tensors", *_FIELDS, "module")}
        prior = self._create(**known | changes)
        if self._user_module and not {"backbone", "module"} & set(changes):
            vars(prior)["_user_module"] = True
        return prior

    # -- what it is ----------------------------------------------------------------------------

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the contents, 64 hexadecimal digits."""
        return compute_digest(self._metadata(), self.tensors)

    @property
    def n_parameters(self) -> int:
        """Number of learned values; what describes the rows is not counted."""
        return sum(t.size for name, t in self.tensors.items() if not is_of_rows(name))

    @property
    def needs_module(self) -> bool:
        """Whether the backbone is a user's network that was not given."""
        return self._user_module and self.module is None

    @property
    def _trained_on(self) -> str | None:
        kind = self.trained_on_kind
        if self.trained_on is None or kind is None:
            return None
        return count(len(self.trained_on), kind)

    def __repr__(self) -> str:
        parts = [self.learner if self.backbone is None else f"{self.learner} on {self.backbone}"]
        if self.needs_module:
            parts.append("module missing")
        parts.append(self.kind)
        if self.n_features_in is not None:
            parts.append(count(self.n_features_in, "features"))
        if self._trained_on is not None:
            parts.append(f"trained on {self._trained_on}")
        parts.append(count(self.n_parameters, "parameters"))
        return f"{type(self).__name__}({', '.join(parts)}, digest {self.digest[:6]}…)"

    def _repr_html_(self) -> str:
        """Return what the prior is as an HTML table, for notebooks."""
        facts = {
            "learner": self.learner,
            "settings": _spell(self.learner_params),
            "network": self.backbone,
            "settings of the network": _spell(self.backbone_params),
            "tasks": self.kind,
            "features": self.n_features_in,
            "classes": None if self.classes is None else len(self.classes),
            "trained on": self._trained_on,
            "parameters": f"{self.n_parameters:,}",
            "origin": _spell(self.provenance),
            "digest": self.digest[:12],
        }
        return facts_table(type(self).__name__, facts)

    def check_features(self, X_n_features: int, feature_names: Sequence[str] | None = None) -> None:
        """Check that data have the features that the prior was learned on.

        Parameters
        ----------
        X_n_features : int
            Number of features of the data.
        feature_names : sequence of str of length X_n_features, default=None
            Their names, None if they have none. Names are compared if both sides have them.

        Raises
        ------
        PriorError
            If the number, the names or the order of the features differ.
        """
        n_expected, expected = self.n_features_in, self.feature_names_in
        if n_expected is not None and X_n_features != n_expected:
            raise PriorError(
                f"X has {count(X_n_features, 'features')}, but the prior was meta-trained on "
                f"{count(n_expected, 'features')}. Give data with the same features, or meta-train "
                "a prior on data with these."
            )
        names = None if feature_names is None else list(map(str, feature_names))
        if expected is None or names is None or list(expected) == names:
            return
        unseen = [name for name in names if name not in set(expected)]
        missing = [name for name in expected if name not in set(names)]
        difference = f" Unseen in meta-training: {quote_some(unseen, 5)}." if unseen else ""
        difference += f" Missing now: {quote_some(missing, 5)}." if missing else ""
        raise PriorError(
            "The feature names should match those that the prior was meta-trained on."
            f"{difference or ' Their order differs.'} Rename or reorder the columns of X, or give "
            "X without names."
        )

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Check that other settings of the inner loop can have an effect.

        Parameters
        ----------
        settings : mapping
            By name; None keeps what the prior has.

        Raises
        ------
        ValueError
            If the prior has learned values of one of them or, of an LSTM, gates.
        """
        for name, value in settings.items():
            gates = ("gate.",) if name == "inner_lr" else ()
            own = (f"{name}.", *gates)
            is_learned = any(n == name or n.startswith(own) for n in self.tensors)
            if value is not None and is_learned:
                raise ValueError(
                    f"{name}={value} does not apply to a prior whose {name} is learned. Leave it "
                    "out."
                )

    def check_new_rows(self, X: Any, y: Any = None) -> None:
        """Warn if rows were used in the meta-training.

        A prior has digests of at most 16,384 rows. Those that several tasks have, as in tables of
        categories, are no evidence.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows with the columns that the prior was trained on.
        y : array-like of shape (n_samples,), default=None
            Their targets, in the units of the meta-training; needed for a regression only.

        Warns
        -----
        PriorWarning
            If more rows are known than two tasks have in common by chance.
        """
        warn_if_seen(self, X, y)

    # -- files ---------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the prior to one file.

        If writing fails, an existing file stays as it was. `module` is not saved.

        Parameters
        ----------
        path : str or path-like
            Where to write. The folder must exist.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If a tensor holds NaN or infinity, or the fields take more than 32 MiB.
        """
        write_prior(Path(path), self._metadata(), self.tensors)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, module: Any = None) -> Self:
        """Read a prior from a file that :meth:`save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.
        module : torch.nn.Module, default=None
            The network, if the backbone was a user's own. Without it, such a prior can be
            inspected but not used: its `needs_module` is True.

        Returns
        -------
        prior : MetaPrior
            Equal to the prior that was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        PriorError
            If the file is truncated, altered, not a prior, or of a newer format; if a tensor
            holds NaN or infinity.
        PriorError
            If `module` is given for a prior whose backbone comes with skmeta.
        """
        path = Path(path)
        fields, tensors = read_prior(path)
        if module is not None and not fields["user_module"]:
            raise PriorError(
                f"module was given, but the prior in {str(path)!r} has the backbone "
                f"{fields['backbone']!r} of skmeta. Load it without module."
            )
        try:
            return _rebuild(tensors, fields, module, cls)
        except (TypeError, ValueError, OverflowError) as error:
            raise PriorError(
                f"{str(path)!r} holds a field that is not allowed: {error} "
                "Give a file written by MetaPrior.save."
            ) from error

    @classmethod
    def load_shipped(cls, kind: str) -> "MetaPrior":
        """Load the prior that ships for small tables, once per process.

        Its weights, in half precision, are those of an
        :class:`~skmeta.learners.InContextLearner` that ``benchmarks/make/table_priors.py``
        meta-trained on synthetic tables, then on real tables, too. ``provenance`` says how, and
        names them.

        Parameters
        ----------
        kind : {"classification", "regression"}
            What the new tasks are.

        Returns
        -------
        prior : MetaPrior
            For tables of any number of columns.

        Raises
        ------
        PriorError
            If none ships for tasks of this kind.
        """
        name, names = f"tables-{kind}", packaged_names()
        if name not in names:
            known = ", ".join(each.removeprefix("tables-") for each in names)
            raise PriorError(
                f"No prior ships for {kind} tables, but for: {known or 'none'}. "
                "Meta-train one with InContextLearner, or leave prior out."
            )
        prior: MetaPrior = load_packaged(MetaPrior, name)
        return prior

    def _metadata(self) -> dict[str, Any]:
        """Return all fields but the tensors and the module, as JSON values."""
        fields = {name: thaw(getattr(self, name)) for name in _FIELDS}
        return fields | {"user_module": self._user_module}


def _rebuild(
    tensors: Mapping[str, np.ndarray], fields: Mapping[str, Any], module: Any, cls: type[Prior]
) -> Prior:
    arguments = dict(fields)
    user_module = arguments.pop("user_module")
    prior = cls._create(tensors, **arguments, module=module)
    vars(prior)["_user_module"] = user_module
    return prior


def _spell(values: Mapping[str, Any]) -> str | None:
    """Return settings as text, and None if there are none; of a long collection only its size."""

    def text(value: Any) -> str:
        is_long = isinstance(value, Sequence | Mapping) and len(value) > _LONGEST_COLLECTION
        return f"({len(value):,} values)" if is_long and not isinstance(value, str) else repr(value)

    return ", ".join(f"{name}={text(value)}" for name, value in thaw(values).items()) or None
