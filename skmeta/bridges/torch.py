"""A torch module that starts from a prior, for skorch, Lightning or a training loop."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from skmeta._validation import check_count
from skmeta.backbones import CellNetwork, EpisodeBatchNorm, build_backbone, check_backbone
from skmeta.exceptions import PriorError
from skmeta.priors import MetaPrior

__all__ = ["PriorModule"]

_HEAD = "head_init"  # the parameter of learners
_MOMENTUM = 0.1  # of the statistics of batch normalisations, as in torch


class PriorModule(nn.Module):
    """A network with the weights of a prior, to be trained further as any other module.

    It standardises rows as in meta-training, has the body of the prior, and a linear head. Each
    output of the head starts from the prior's row, if all classes share one; from the row of its
    own class, if the prior has learned one; and from zero otherwise. :meth:`start` replaces zeros
    by the class means of the training rows, if meta-training did so.

    Parameters
    ----------
    prior : MetaPrior
        Of a learner that adapts a network: MAML, ANIL, Meta-SGD, Reptile, ProtoNet, FineTuning or
        LSTMMetaLearner.
    n_outputs : int, default=1
        Number of classes, or 1 for a regression. If the prior's head has a row for each of its
        classes, class k of the new task is class k of ``prior.classes``.

    Attributes
    ----------
    body : torch.nn.Module
        Maps (n_samples, *input_shape) to (n_samples, n_features). ``body.requires_grad_(False)``
        leaves the head alone to be trained.
    head : torch.nn.Linear
        Maps features to the outputs.
    x_mean, x_scale, y_mean, y_scale : Tensor
        The standardisation of rows and targets.

    Raises
    ------
    TypeError
        If `prior` is not a MetaPrior.
    PriorError
        If the prior has no network that a new task starts from, needs a module that is missing, or
        has learned rows for fewer classes.

    Notes
    -----
    Outputs of a regression are in the units of the targets. Divide a squared error by
    ``y_scale ** 2``, so that the step size does not depend on the unit.

    Examples
    --------
    >>> import torch
    >>> from skmeta.bridges.torch import PriorModule
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML
    >>> X, y, groups = make_sinusoid_tasks(20, random_state=0)
    >>> learner = MAML(n_iterations=2, n_shot=5, n_query=5, random_state=0)
    >>> module = PriorModule(learner.fit(X, y, groups=groups).prior_)
    >>> module(torch.tensor(X[:3])).shape
    torch.Size([3, 1])
    """

    x_mean: Tensor
    x_scale: Tensor
    y_mean: Tensor
    y_scale: Tensor
    is_started: Tensor
    n_batches: Tensor

    def __init__(self, prior: MetaPrior, n_outputs: int = 1) -> None:
        super().__init__()
        if not isinstance(prior, MetaPrior):
            raise TypeError(
                f"prior must be a MetaPrior, such as learner.prior_, got {type(prior).__name__}."
            )
        self.kind: str = prior.kind
        self.input_shape: tuple[int, ...] = _check(prior)
        backbone = prior.module if prior.module is not None else str(prior.backbone)
        self.body: nn.Module = build_backbone(
            backbone, self.input_shape, dict(prior.backbone_params)
        )
        if isinstance(self.body, CellNetwork):
            raise PriorError(
                f"A prior of {prior.learner} chooses the operations of its network for each task, "
                "so that PriorModule cannot start from it. Use MAML or ProtoNet, for example."
            )
        weights = {n.removeprefix("body."): v for n, v in prior.tensors.items() if n[:5] == "body."}
        with torch.no_grad():
            for name, parameter in self.body.named_parameters():
                parameter.copy_(torch.tensor(weights[name]))
            width = int(self.body.eval()(torch.zeros(1, *self.input_shape)).shape[1])
        self.head: nn.Linear = _make_head(prior, width, check_count(n_outputs, "n_outputs"))
        for name in ("x_mean", "x_scale", "y_mean", "y_scale"):
            value = torch.tensor(prior.tensors[f"scaler.{name}"], dtype=torch.float32)
            self.register_buffer(name, value)
        self.register_buffer("n_batches", torch.tensor(0))
        # A head with learned rows, or one that was zero in meta-training, starts from these.
        has_start = "head.weight" in prior.tensors or prior.learner_params.get(_HEAD) == "zeros"
        self.register_buffer("is_started", torch.tensor(has_start))

    def forward(self, X: Tensor) -> Tensor:
        """Return the outputs for rows.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features) or (n_samples, *input_shape)
            Rows in their own units, of any floating-point type.

        Returns
        -------
        Tensor of shape (n_samples, n_outputs)
            Logits, or predictions in the units of the targets.
        """
        outputs: Tensor = self.head(self._features(X))
        return outputs * self.y_scale + self.y_mean if self.kind == "regression" else outputs

    @torch.no_grad()
    def start(self, X: Tensor, y: Tensor) -> None:
        """Set the head to the class means of the training rows, as prototypical networks do.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features) or (n_samples, *input_shape)
            Training rows.
        y : Tensor of shape (n_samples,)
            Their classes, from 0 to n_outputs - 1.

        Notes
        -----
        A regression, a head with learned rows, and one that was zero in meta-training stay as they
        are. A class without rows gets a bias of minus 1e9, so that it is never predicted.
        """
        if bool(self.is_started) or self.kind == "regression":
            return
        was_training, n_outputs = self.training, self.head.out_features
        is_number = isinstance(y, Tensor) or np.asarray(y).dtype.kind in "biu"
        classes = torch.as_tensor(y if is_number else [], device=self.x_mean.device).long()
        if classes.shape != (len(X),) or bool(((classes < 0) | (classes >= n_outputs)).any()):
            raise ValueError(
                f"y must have a class from 0 to {n_outputs - 1} for each of the {len(X)} rows, got "
                f"{y}. Raise n_outputs, or encode the classes with LabelEncoder."
            )
        features = self.train()._features(X)
        self.train(was_training)
        members = nn.functional.one_hot(classes, n_outputs).to(features.dtype)
        counts = members.sum(0)
        means = members.T @ features / counts[:, None].clamp_min(1)
        # -|f - c|^2 is 2 c f - |c|^2, and a term that all classes share.
        self.head.weight.copy_(2 * means)
        self.head.bias.copy_(-(means**2).sum(1) - 1e9 * (counts == 0))
        self.is_started.fill_(True)

    def _features(self, X: Tensor) -> Tensor:
        rows = torch.as_tensor(X).to(self.x_mean)
        width = math.prod(self.input_shape)
        if rows.shape[1:] not in ((width,), self.input_shape):
            known = " or ".join(dict.fromkeys([str(self.input_shape), f"({width},)"]))
            raise ValueError(
                f"X has the shape {tuple(rows.shape)}, but the prior is for rows of shape {known}."
            )
        rows = rows.reshape(len(rows), -1)
        rows = ((rows - self.x_mean) / self.x_scale).reshape(-1, *self.input_shape)
        norms = (part for part in self.body.modules() if isinstance(part, EpisodeBatchNorm))
        before = [(norm, norm.mean, norm.var) for norm in norms]
        features: Tensor = self.body(rows)
        if self.training and before:
            # Episodes keep the statistics of their support set; batches are averaged.
            share = max(_MOMENTUM, 1 / (1 + int(self.n_batches)))
            for norm, mean, var in before:
                norm.mean = mean.lerp(norm.mean.detach(), share)
                norm.var = var.lerp(norm.var.detach(), share)
            self.n_batches += 1
        return features


def _check(prior: MetaPrior) -> tuple[int, ...]:
    """Check that a prior has a network to start from, and return the shape of a row."""
    if prior.needs_module:
        raise PriorError(
            f"The prior was trained with a module of yours, {prior.backbone}. Load it with "
            "MetaPrior.load(path, module=...) and a module of the same architecture."
        )
    has_body = any(name.startswith("body.") for name in prior.tensors)
    if prior.backbone is None or prior.input_shape is None or not has_body:
        raise PriorError(
            f"A prior of {prior.learner} has no network whose weights a new task starts from. Use "
            "a prior of MAML or ProtoNet, for example."
        )
    shape = tuple(prior.input_shape)
    if prior.module is None:
        weights: Mapping[str, np.ndarray] = prior.tensors
        check_backbone(prior.backbone, shape, dict(prior.backbone_params), weights)
    return shape


def _make_head(prior: MetaPrior, n_features: int, n_outputs: int) -> nn.Linear:
    # Without drawing weights, which would move torch's global generator.
    head: nn.Linear = nn.utils.skip_init(nn.Linear, n_features, n_outputs)
    weight, bias = torch.zeros(n_outputs, n_features), torch.zeros(n_outputs)
    if "head.weight" in prior.tensors:
        rows = torch.tensor(prior.tensors["head.weight"])
        biases = torch.tensor(prior.tensors["head.bias"])
        if len(rows) > 1 or prior.learner_params.get(_HEAD) == "learned":
            if n_outputs > len(rows):
                raise PriorError(
                    f"The task has {n_outputs} outputs, but the prior's head has learned rows for "
                    f"{len(rows)}. Meta-train with head_init='shared', which takes any number of "
                    "classes."
                )
            weight, bias = rows[:n_outputs], biases[:n_outputs]
        else:
            weight, bias = rows.expand(n_outputs, -1), biases.expand(n_outputs)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head
