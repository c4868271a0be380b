"""
An LSTM that takes the steps
============================

MAML learns where gradient descent starts. The LSTM meta-learner [1]_ also learns how it steps: a
small recurrent network, the same for every weight, reads the gradient and the loss, and decides how
much of the weight is kept and how far it moves.
"""

# %%
# Meta-training
# -------------
# Both learners get the same sinusoids, five points of each, and five steps.

import matplotlib.pyplot as plt
import numpy as np

from skmeta import MetaFewShotRegressor
from skmeta.datasets import make_sinusoid_tasks
from skmeta.learners import MAML, LSTMMetaLearner
from skmeta.plotting import AdaptationDisplay

X, y, groups = make_sinusoid_tasks(n_tasks=2000, n_samples=20, random_state=0)
settings = {"n_shot": 5, "n_inner_steps": 5, "n_iterations": 1000, "random_state": 0}
learners = {
    "LSTM meta-learner": LSTMMetaLearner(**settings),
    "MAML": MAML(**settings),
}
for learner in learners.values():
    learner.fit(X, y, groups=groups)

# %%
# A new sinusoid, and 200 others
# ------------------------------

amplitude, phase = 3.5, 1.0
x_few = np.array([[-4.2], [-2.5], [-0.5], [1.2], [2.1]])
y_few = amplitude * np.sin(x_few[:, 0] - phase)
x_line = np.linspace(-5, 5, 200).reshape(-1, 1)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.plot(x_line, amplitude * np.sin(x_line - phase), color="tab:blue", label="truth")
for n_steps, color in ((0, "0.75"), (1, "tab:orange"), (5, "tab:red")):
    reg = MetaFewShotRegressor(
        learners["LSTM meta-learner"], learner_params={"n_inner_steps": n_steps}
    )
    line = reg.fit(x_few, y_few).predict(x_line)
    label = "before" if n_steps == 0 else f"{n_steps} step{'s' * (n_steps > 1)} of the LSTM"
    left.plot(x_line, line, "--", color=color, label=label)
left.plot(x_few, y_few, "o", color="black", label="the five points", zorder=3)
left.set(title="One new sinusoid", xlabel="x", ylabel="target", ylim=(-4.5, 4.5))
left.legend(loc="lower left", fontsize="small")

X_new, y_new, groups_new = make_sinusoid_tasks(n_tasks=200, n_samples=105, random_state=1)
groups_new += 10_000
for name, learner in learners.items():
    display = AdaptationDisplay.from_estimator(
        learner.set_params(n_query=100),
        X_new,
        y_new,
        groups_new,
        n_inner_steps=(0, 1, 2, 3, 5),
        n_tasks=200,
        ax=right,
        label=name,
    )
    print(f"{name:<18} {display.scores.mean(axis=1)[-1]:.2f} after 5 steps")
right.set(title="200 new sinusoids", ylim=(0, None))
plt.show()

# %%
# References
# ----------
# .. [1] Ravi and Larochelle (2017), Optimization as a model for few-shot learning, section 3.
