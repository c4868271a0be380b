"""
An optimizer that was learned, in a training loop of your own
=============================================================

Adam treats every problem alike. If you train the same kind of network again and again, on data of
the same kind, you can learn an optimizer from that: a small network that reads the gradients of
each parameter and says how far to move it. :class:`~skmeta.learners.LearnedOptimizer` meta-trains
it, and ``PriorOptimizer(...)`` takes the place of ``torch.optim.Adam(...)``.
"""

# %%
# Problems to learn from
# ----------------------
# A problem draws where a run starts, and computes the loss on the rows that it draws. Here, a
# problem is a network of 8 to 40 hidden units that learns half of the digits of scikit-learn, in
# batches of 128 rows. Each time, it starts from other weights.

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

from skmeta.learners import LearnedOptimizer, PriorOptimizer

X, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(X))
X, y = torch.tensor(X[order] / 16).float(), torch.tensor(y[order])
cross_entropy = torch.nn.functional.cross_entropy


class Digits:
    """A network of one hidden layer that learns digits."""

    def init(self, rng):
        n = int(rng.integers(8, 41))
        shapes = {"a": (n, 64), "b": (n,), "c": (10, n), "d": (10,)}
        fan_in = {"a": 64, "b": 64, "c": n, "d": n}
        return {
            name: torch.tensor(rng.uniform(-1, 1, shape)).float() / fan_in[name] ** 0.5
            for name, shape in shapes.items()
        }

    def loss(self, theta, rng):
        rows = rng.integers(900, size=128)
        hidden = torch.relu(X[rows] @ theta["a"].T + theta["b"])
        return cross_entropy(hidden @ theta["c"].T + theta["d"], y[rows])


learner = LearnedOptimizer(n_inner_steps=50, n_iterations=120, random_state=0)
learner.fit_problems(Digits())

# %%
# A training loop
# ---------------
# It is an ordinary one, in torch, for networks that are larger than those of the meta-training, on
# the other half of the digits. ``n_steps`` is how many steps will be taken. ``step(loss=loss)``
# tells the optimizer the loss, with which it guards its steps beyond these.

N_STEPS = 50


def train(seed, make_optimizer, units=100):
    """Losses of a new network on all of its rows, by step."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Linear(64, units), torch.nn.ReLU(), torch.nn.Linear(units, 10)
    )
    optimizer = make_optimizer(network.parameters())
    losses = []
    for _ in range(N_STEPS + 1):
        with torch.no_grad():
            losses.append(cross_entropy(network(X[900:]), y[900:]).item())
        rows = torch.randint(900, len(X), (128,))
        loss = cross_entropy(network(X[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        if isinstance(optimizer, PriorOptimizer):
            optimizer.step(loss=loss)
        else:
            optimizer.step()
    return losses


# %%
# Against Adam
# ------------
# Adam with its default step size, and with the best of six on networks of the meta-training's size.


def adam(lr):
    return lambda params: torch.optim.Adam(params, lr=lr)


def learned(params):
    return PriorOptimizer(params, learner.prior_, n_inner_steps=N_STEPS)


rates = (0.01, 0.02, 0.04, 0.06, 0.1, 0.2)
tried = {lr: np.mean([train(1000 + k, adam(lr), 24)[-1] for k in range(5)]) for lr in rates}
best = min(tried, key=tried.get)
makers = {"Adam, lr=0.001": adam(0.001), f"Adam, lr={best}, tuned": adam(best), "learned": learned}
curves = {name: np.array([train(k, make) for k in range(10)]) for name, make in makers.items()}
for name, losses in curves.items():
    print(f"{name}: {losses[:, 20].mean():.3f} after 20 steps, {losses[:, 50].mean():.3f} after 50")

# %%
# The band is the range of ten networks. :doc:`/benchmarks/regressions` has a longer meta-training,
# longer runs, deeper networks and more rivals.

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for (name, losses), color in zip(curves.items(), ("0.6", "tab:blue", "tab:red"), strict=True):
    ax.fill_between(range(N_STEPS + 1), losses.min(0), losses.max(0), color=color, alpha=0.15, lw=0)
    ax.plot(losses.mean(0), color=color, lw=2, label=name)
ax.set(yscale="log", xlabel="step", ylabel="cross-entropy of new networks")
ax.legend()
plt.show()
