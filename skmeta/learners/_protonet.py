"""ProtoNet: classify by the nearest mean of an embedded support set."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from skmeta._backend import Rows, State
from skmeta.learners._core import Algorithm, Context, NetworkLearner, class_means


class ProtoNetAlgorithm(Algorithm):
    """Embed rows, and compare them with the mean of each class."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    can_be_recorded: ClassVar[bool] = True
    # The nearest class mean of the input is where meta-training starts, so that few classes to
    # learn from do not lead to less.
    mlp_has_skip: ClassVar[bool] = True

    def needs_every_class(self, head: str) -> bool:
        return True

    def init_state(self, context: Context, generator: torch.Generator) -> State:
        return context.network.initial_weights()

    def adapt(
        self, context: Context, state: State, support: Rows, start: State | None = None
    ) -> State:
        features, statistics = context.network.measure(state, support.x)
        prototypes, offset = class_means(features, support, context.n_outputs)
        return dict(state) | statistics | {"prototypes": prototypes, "offset": offset}

    def forward(self, context: Context, adapted: State, x: Tensor) -> Tensor:
        features, centres = context.features(adapted, x), adapted["prototypes"]
        # -|f - c|^2 (Snell et al. 2017, equation 2), as a product of matrices.
        squares = (centres * centres).sum(1) + (features * features).sum(1, keepdim=True)
        return adapted["offset"] + 2 * features @ centres.T - squares


class ProtoNet(NetworkLearner):
    """Prototypical network: the nearest class mean in a learned embedding.

    There is no inner loop: a task is learned by one pass over its support set. It is the fastest
    of the learners. Classification only. With ``backbone="mlp"``, the embedding has the input
    beside the last hidden layer (``skip`` of :func:`~skmeta.backbones.mlp`).

    References
    ----------
    Snell, Swersky and Zemel (2017), Prototypical networks for few-shot learning, equations 1
    and 2, algorithm 1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmeta.learners import ProtoNet
    >>> X, y = load_digits(return_X_y=True)
    >>> learner = ProtoNet(n_way=3, n_iterations=10, random_state=0).fit(X, y)
    >>> learner.prior_.kind
    'classification'
    """

    algorithm = ProtoNetAlgorithm
