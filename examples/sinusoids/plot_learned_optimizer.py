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
# Each problem is a network to be fitted to 20 points of a sinusoid. The optimizer learns to lower
# the loss on the points that it sees, within 20 steps (``objective="support"``; by default it
# lowers the loss on other points of the task). Each time, it starts from other weights.

import matplotlib.pyplot as plt
import numpy as np
import torch

from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import InputOptions, LearnedOptimizer, PriorOptimizer

X, y, groups = make_sinusoid_tasks(n_tasks=2000, n_samples=21, random_state=0)
learner = LearnedOptimizer(
    backbone="mlp",
    backbone_params={"hidden": (20,), "activation": "tanh"},
    objective="support",
    network="lstm",
    first_order=True,
    n_hidden=20,
    n_inner_steps=20,
    n_shot=20,
    n_query=1,
    meta_batch_size=16,
    meta_lr=0.01,
    n_iterations=200,
    validation=0,
    inputs=InputOptions(standardize=False),
    random_state=0,
).fit(X, y, groups=groups)

# %%
# A training loop
# ---------------
# It is an ordinary one, in torch. ``step(loss=loss)`` tells the optimizer the loss, with which it
# guards its steps beyond the 20 that it was trained for.


def train(seed, make_optimizer, n_steps=100):
    """Losses of a network that is fitted to a new sinusoid."""
    torch.manual_seed(seed)
    x = 10 * torch.rand(20, 1) - 5
    amplitude, phase = torch.rand(2) * torch.tensor([4.9, 3.14])
    target = (0.1 + amplitude) * torch.sin(x - phase)
    network = torch.nn.Sequential(torch.nn.Linear(1, 20), torch.nn.Tanh(), torch.nn.Linear(20, 1))
    optimizer = make_optimizer(network.parameters())
    losses = []
    for _ in range(n_steps + 1):
        loss = torch.nn.functional.mse_loss(network(x), target)
        optimizer.zero_grad()
        loss.backward()
        if isinstance(optimizer, torch.optim.Adam):
            optimizer.step()
        else:
            optimizer.step(loss=loss)
        losses.append(loss.item())
    return losses


# %%
# Against Adam
# ------------
# Adam with its default step size, and with the best of five on other problems of the same kind.


def adam(lr):
    return lambda params: torch.optim.Adam(params, lr=lr)


rates = (0.01, 0.03, 0.1, 0.2, 0.3)
tried = {lr: np.mean([train(1000 + k, adam(lr), 20)[20] for k in range(30)]) for lr in rates}
best = min(tried, key=tried.get)
curves = {
    "Adam, lr=0.001": [train(k, adam(0.001)) for k in range(30)],
    f"Adam, lr={best}, tuned for 20 steps": [train(k, adam(best)) for k in range(30)],
    "learned": [train(k, lambda params: PriorOptimizer(params, learner.prior_)) for k in range(30)],
}
for name, losses in curves.items():
    mean = np.mean(losses, axis=0)
    print(f"{name}: {mean[20]:.3f} after 20 steps, {mean[100]:.3f} after 100")

# %%
# The learned optimizer is as good as a tuned Adam, and has no step size to tune. Beyond the 20
# steps that it was trained for, its steps become shorter, and a tuned Adam overtakes it.
# Meta-training is kept short here: :doc:`/benchmarks/regressions` says what a longer one brings.

fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for (name, losses), color in zip(curves.items(), ("0.7", "tab:blue", "tab:red"), strict=True):
    ax.plot(np.mean(losses, axis=0), color=color, lw=2, label=name)
ax.axvline(20, color="0.5", ls=":", lw=1)
ax.text(21, 1.5, "trained for", color="0.4")
ax.set(yscale="log", xlabel="step", ylabel="squared error, mean of 30 new problems")
ax.legend()
plt.show()
