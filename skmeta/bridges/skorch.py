"""Networks of skorch that start from a prior."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skmeta._optional import import_optional
from skmeta.backbones import CellNetwork, EpisodeBatchNorm, build_backbone, check_backbone
from skmeta.exceptions import PriorError
from skmeta.priors import MetaPrior

skorch = import_optional("skorch", "skorch")
_Net: Any = skorch.NeuralNet
_Classifier: Any = skorch.NeuralNetClassifier
_Regressor: Any = skorch.NeuralNetRegressor

__all__ = ["PriorModule", "PriorNetClassifier", "PriorNetRegressor"]

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
    freeze_body : bool, default=False
        Train the head only.

    Attributes
    ----------
    body : torch.nn.Module
        Maps (n_samples, *input_shape) to (n_samples, n_features).
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

    Examples
    --------
    >>> import torch
    >>> from skmeta.bridges.skorch import PriorModule
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

    def __init__(self, prior: MetaPrior, n_outputs: int = 1, freeze_body: bool = False) -> None:
        super().__init__()
        if not isinstance(prior, MetaPrior):
            raise TypeError(
                f"prior must be a MetaPrior, such as learner.prior_, got {type(prior).__name__}."
            )
        self.kind = prior.kind
        self.input_shape = _check(prior)
        backbone = prior.module if prior.module is not None else str(prior.backbone)
        self.body = build_backbone(backbone, self.input_shape, dict(prior.backbone_params))
        if isinstance(self.body, CellNetwork):
            raise PriorError(
                f"A prior of {prior.learner} chooses the operations of its network for each task, "
                "so that PriorModule cannot start from it. Use MAML or ProtoNet, for example."
            )
        weights = {n.removeprefix("body."): v for n, v in prior.tensors.items() if n[:5] == "body."}
        with torch.no_grad():
            for name, parameter in self.body.named_parameters():
                parameter.copy_(torch.tensor(weights[name]))
                parameter.requires_grad_(not freeze_body)
        self.head = _make_head(prior, self._width(), n_outputs)
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
        features = self.train()._features(X)
        self.train(was_training)
        members = nn.functional.one_hot(y.long(), n_outputs).to(features.dtype)
        counts = members.sum(0)
        means = members.T @ features / counts[:, None].clamp_min(1)
        # -|f - c|^2 is 2 c f - |c|^2, and a term that all classes share.
        self.head.weight.copy_(2 * means)
        self.head.bias.copy_(-(means**2).sum(1) - 1e9 * (counts == 0))
        self.is_started.fill_(True)

    def _features(self, X: Tensor) -> Tensor:
        rows = X.to(self.x_mean.dtype).reshape(len(X), -1)
        rows = ((rows - self.x_mean) / self.x_scale).reshape(-1, *self.input_shape)
        before = [(norm, norm.mean, norm.var) for norm in self._norms()]
        features: Tensor = self.body(rows)
        if self.training and before:
            # Episodes keep the statistics of their support set; batches are averaged.
            share = max(_MOMENTUM, 1 / (1 + int(self.n_batches)))
            for norm, mean, var in before:
                norm.mean = mean.lerp(norm.mean.detach(), share)
                norm.var = var.lerp(norm.var.detach(), share)
            self.n_batches += 1
        return features

    @torch.no_grad()
    def _width(self) -> int:
        return int(self.body.eval()(torch.zeros(1, *self.input_shape)).shape[1])

    def _norms(self) -> Iterator[EpisodeBatchNorm]:
        return (part for part in self.body.modules() if isinstance(part, EpisodeBatchNorm))


class _PriorNet(_Net):
    """What both nets share: the training rows determine the size and the start of the head."""

    kind: str
    module_: PriorModule

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Any:
        self._note(y)
        return super().fit(X, self._targets(y), **fit_params)

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any) -> Any:
        if not getattr(self, "initialized_", False):
            self._note(y if classes is None else classes)
        return super().partial_fit(X, self._targets(y), classes, **fit_params)

    def get_params_for(self, prefix: str) -> dict[str, Any]:
        """Return the parameters of a part; for the module, with the number of outputs.

        Parameters
        ----------
        prefix : str
            The part, such as ``"module"``.

        Returns
        -------
        dict of str to object
        """
        params: dict[str, Any] = super().get_params_for(prefix)
        if prefix == "module" and hasattr(self, "_n_outputs"):
            params = {"n_outputs": self._n_outputs} | params
        return params

    def initialize_module(self) -> Any:
        """Make the module, and check that its prior is for tasks of this kind."""
        done = super().initialize_module()
        if self.module_.kind != self.kind:
            raise PriorError(
                f"{type(self).__name__} needs a prior for {self.kind}, got one for "
                f"{self.module_.kind}."
            )
        return done

    def _note(self, y: Any) -> None:
        self._n_outputs = 1

    def _targets(self, y: Any) -> Any:
        return y


class PriorNetClassifier(_PriorNet, _Classifier):
    """A classifier of skorch whose network starts from a prior.

    It has all parameters of skorch's ``NeuralNetClassifier``: optimizers, schedules, callbacks,
    mini-batches. Few steps suffice: with ``batch_size=-1``, ``lr`` and ``max_epochs`` of the
    prior's ``inner_lr`` and ``n_inner_steps``, and ``SGD``, the default optimizer, it does what
    MAML does in a new task.

    Parameters
    ----------
    module : type, default=PriorModule
        :class:`PriorModule`, or a subclass.
    *args
        As of skorch's ``NeuralNetClassifier``.
    criterion : type, default=torch.nn.CrossEntropyLoss
        The loss of logits.
    train_split : callable, default=None
        How rows are held out for validation. By default none are, as there are few.
    **kwargs
        ``module__prior`` is required; ``module__freeze_body=True`` trains the head only. Others are
        those of skorch's ``NeuralNetClassifier``.

    Raises
    ------
    PriorError
        If the prior is one for regressions, or has no network to start from.

    Notes
    -----
    As in skorch, classes are the integers from 0 to the number of classes - 1. If the rows come
    from a ``Dataset`` and y is None, ``module__n_outputs`` has to be given, and a head that would
    start from class means starts from zero.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skmeta.bridges.skorch import PriorNetClassifier
    >>> from skmeta.learners import ProtoNet
    >>> X, y = load_digits(return_X_y=True)
    >>> learner = ProtoNet(
    ...     backbone="mlp", n_way=3, n_iterations=5, validation=0, random_state=0
    ... )
    >>> prior = learner.fit(X[y < 8], y[y < 8]).prior_
    >>> few = [*(y == 8).nonzero()[0][:5], *(y == 9).nonzero()[0][:5]]
    >>> net = PriorNetClassifier(module__prior=prior, max_epochs=3, lr=0.001, verbose=0)
    >>> net.fit(X[few], y[few] - 8).predict(X[few]).shape
    (10,)
    """

    kind = "classification"

    def __init__(
        self,
        module: Any = PriorModule,
        *args: Any,
        criterion: Any = nn.CrossEntropyLoss,
        train_split: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, *args, criterion=criterion, train_split=train_split, **kwargs)

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Start the head from the class means, if meta-training did so.

        Parameters
        ----------
        net : PriorNetClassifier
            This net.
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Their classes.
        **kwargs
            As skorch passes them.
        """
        super().on_train_begin(net, X, y, **kwargs)
        if isinstance(X, np.ndarray | Tensor) and y is not None:
            where = self.module_.x_mean.device
            self.module_.start(torch.as_tensor(X, device=where), torch.as_tensor(y, device=where))

    def _note(self, y: Any) -> None:
        if y is not None:
            self._n_outputs = int(np.max(np.asarray(y))) + 1

    def _targets(self, y: Any) -> Any:
        return np.asarray(y, dtype=np.int64) if isinstance(y, np.ndarray | list) else y


class PriorNetRegressor(_PriorNet, _Regressor):
    """A regressor of skorch whose network starts from a prior.

    Parameters
    ----------
    module : type, default=PriorModule
        :class:`PriorModule`, or a subclass.
    *args
        As of skorch's ``NeuralNetRegressor``.
    train_split : callable, default=None
        How rows are held out for validation. By default none are, as there are few.
    **kwargs
        ``module__prior`` is required; ``module__freeze_body=True`` trains the head only. Others are
        those of skorch's ``NeuralNetRegressor``.

    Raises
    ------
    PriorError
        If the prior is one for classifications, or has no network to start from.

    Notes
    -----
    The loss is that of standardised targets, so a step size does not depend on their unit.
    Predictions have the shape (n_samples, 1), as in skorch; targets may also have the shape
    (n_samples,).

    Examples
    --------
    >>> from skmeta.bridges.skorch import PriorNetRegressor
    >>> from skmeta.datasets import make_sinusoid_tasks
    >>> from skmeta.learners import MAML
    >>> X, y, groups = make_sinusoid_tasks(20, random_state=0)
    >>> learner = MAML(n_iterations=2, n_shot=5, n_query=5, random_state=0)
    >>> prior = learner.fit(X[groups > 0], y[groups > 0], groups=groups[groups > 0]).prior_
    >>> net = PriorNetRegressor(module__prior=prior, max_epochs=3, verbose=0)
    >>> net.fit(X[groups == 0], y[groups == 0]).predict(X[:4]).shape
    (4, 1)
    """

    kind = "regression"

    def __init__(
        self, module: Any = PriorModule, *args: Any, train_split: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(module, *args, train_split=train_split, **kwargs)

    def get_loss(self, y_pred: Tensor, y_true: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the loss of standardised targets.

        Parameters
        ----------
        y_pred, y_true : Tensor of shape (n_samples, 1)
            Predictions and targets, in the units of the targets.
        *args, **kwargs
            As skorch passes them.

        Returns
        -------
        Tensor of shape ()
        """
        mean, scale = self.module_.y_mean, self.module_.y_scale
        y_true = torch.as_tensor(y_true).to(y_pred)
        return super().get_loss((y_pred - mean) / scale, (y_true - mean) / scale, *args, **kwargs)

    def _targets(self, y: Any) -> Any:
        if not isinstance(y, np.ndarray | list):
            return y
        return np.asarray(y, dtype=np.float32).reshape(len(y), -1)


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
