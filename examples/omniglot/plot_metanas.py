"""
Search a network within a number of parameters
==============================================

MetaNAS meta-learns which operations a network has, together with its weights. Here the network may
have 3,000 parameters, less than half of those of ``conv4`` with as many filters, so that not each
of its convolutions can stay. What is found is a network like any other: MAML takes it, beside a
network drawn at random and a narrower ``conv4``, which is the better choice here.
"""

# %%
# The search
# ----------
# A cell has an input, an inner node and an output, and halves the image. Each edge has one of seven
# operations in the end; "none" removes it. In the first eighth of the iterations, a quarter of the
# tasks mix them, and the shares of the operations descend the losses of these tasks.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import FancyArrowPatch

from skmeta.backbones import cells
from skmeta.datasets import load_omniglot
from skmeta.learners import MAML, MetaNAS

X, y = load_omniglot(subset="background", rotations=True, return_X_y=True)
X_new, y_new = load_omniglot(subset="evaluation", return_X_y=True)
BUDGET, N_CHANNELS = 3000, 16
settings = {
    "input_shape": (1, 28, 28),
    "n_shot": 1,
    "n_query": 5,
    "n_iterations": 100,
    "meta_batch_size": 4,
    "meta_lr": 0.005,
    "validation": 0.0,
    "first_order": True,
    "random_state": 0,
}
search = MetaNAS(backbone_params={"n_channels": N_CHANNELS}, max_parameters=BUDGET, **settings)
found = search.fit(X, y).architecture_
print(found)

# %%
# What was found
# --------------
# ``architecture_`` is a value: ``params`` can be written as JSON, and ``build`` makes a module of
# torch without the operations that were not chosen.


def draw(ax, architecture):
    """Draw the cells of an architecture from left to right."""
    n_nodes = architecture.params["n_nodes"]
    for edge in architecture.edges:
        if edge.operation == "none":
            continue
        x, width = 1.25 * edge.cell, 1 / n_nodes
        ends = [(x + width * k, 0.35 * (0 < k < n_nodes)) for k in (edge.source, edge.target)]
        bend = -0.35 if edge.target - edge.source > 1 else 0
        color = "tab:blue" if edge.n_parameters else "tab:orange"
        ax.add_patch(
            FancyArrowPatch(
                *ends,
                connectionstyle=f"arc3,rad={-bend}",
                arrowstyle="-|>",
                mutation_scale=14,
                shrinkA=9,
                shrinkB=9,
                linewidth=2,
                color=color,
            )
        )
        x_text, y_text = np.mean(ends, axis=0)
        y_text += 0.5 * bend + (0.06 if bend == 0 else -0.05)
        text = f"{edge.operation}\n{edge.n_parameters:,}"
        ax.annotate(text, (x_text, y_text), ha="center", va="top" if bend else "bottom", fontsize=9)
    for cell in range(architecture.params["n_cells"]):
        used = {0, n_nodes} | {
            edge.target
            for edge in architecture.edges
            if edge.cell == cell and edge.operation != "none"
        }
        for node in sorted(used):
            at = 1.25 * cell + node / n_nodes, 0.35 * (0 < node < n_nodes)
            ax.plot(*at, "o", markersize=15, color="0.85", markeredgecolor="0.4")
    ax.set(xlim=(-0.2, 1.25 * architecture.params["n_cells"]), ylim=(-0.5, 0.7))
    ax.axis("off")


_, ax = plt.subplots(figsize=(9, 3), layout="constrained")
draw(ax, found)
ax.set_title(f"The operations of three cells, and their parameters: {found.n_parameters:,} in all")
plt.show()

module = found.build((1, 28, 28))
print(sum(p.numel() for p in module.parameters()), tuple(module(torch.zeros(2, 1, 28, 28)).shape))

# %%
# The same network for another learner
# ------------------------------------
# MAML learns the network that was found anew, one drawn at random with as many parameters at most,
# and a narrower ``conv4``. All have the same number of iterations. With so few parameters, what was
# found is no better than what was drawn at random, and the narrow ``conv4`` is ahead of both: the
# search is research.


def draw_params(seed):
    """Draw an operation for each edge until the network is small enough, but not much smaller."""
    rng = np.random.default_rng(seed)
    space = cells((1, 28, 28), n_channels=N_CHANNELS)
    while True:
        chosen = [
            space.operations[rng.choice(np.flatnonzero(row))] for row in space.allowed.numpy()
        ]
        params = {"n_channels": N_CHANNELS, "chosen": chosen}
        size = sum(p.numel() for p in cells((1, 28, 28), **params).parameters())
        if BUDGET / 2 < size <= BUDGET:
            return params


learners = {
    "MetaNAS": search,
    "MAML, found network": MAML(backbone=found, **settings),
    "MAML, narrow conv4": MAML(backbone="conv4", backbone_params={"n_channels": 10}, **settings),
}
learners["MAML, random network"] = MAML(
    backbone="cells", backbone_params=draw_params(0), **settings
)
_, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
for name, learner in learners.items():
    if learner is not search:
        learner.fit(X, y)
    scores = 100 * learner.score_tasks(X_new, y_new, n_tasks=100, n_query=15, random_state=1)
    half_width = 1.96 * scores.std(ddof=1) / np.sqrt(len(scores))
    color = "0.7" if "random" in name else "tab:blue"
    ax.barh(name, scores.mean(), xerr=half_width, color=color)
    print(f"{name:<24} {scores.mean():.1f} ± {half_width:.1f}")
ax.invert_yaxis()
ax.set(xlim=(20, 100), xlabel="accuracy on characters of new alphabets, 5 classes, 1 drawing each")
plt.show()
