"""The prior before any meta-training."""

from __future__ import annotations

from typing import Any

import numpy as np

from skmeta._random import check_rng
from skmeta._sklearn_compat import get_feature_names, validate_params
from skmeta.learners._core._algorithm import Algorithm
from skmeta.learners._core._inputs import flatten_rows, resolve_input_shape
from skmeta.learners._core._prior_io import write_prior
from skmeta.learners._core._session import start_session
from skmeta.priors import MetaPrior


def untrained_prior(
    learner: Algorithm,
    X: Any,
    y: Any,
    kind: str,
    sample_weight: np.ndarray | None,
    n_classes: int,
) -> MetaPrior:
    """The prior that meta-training would start from."""
    validate_params(learner)
    learner.check_kind(kind)
    feature_names = get_feature_names(X)
    rows, input_shape = flatten_rows(X, learner.input_shape)
    rows = np.asarray(rows)
    input_shape = resolve_input_shape(input_shape, learner.backbone, rows.shape[1])
    n_outputs = n_classes if kind == "classification" else 1
    session, seed = start_session(
        learner,
        check_rng(learner.random_state),
        rows,
        y,
        n_outputs,
        input_shape,
        kind,
        "classes",
        sample_weight,
    )
    state = session.draw_state(seed)
    return write_prior(session, state, n_features=rows.shape[1], feature_names=feature_names)
