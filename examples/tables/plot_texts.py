"""
Texts with few labels
=====================

Labels are scarce where texts are many: messages to sort, papers to screen. An encoder that learned
from other texts turns each into numbers, and a few labels train a classifier behind it. The same
pipeline sorts pictures, with an encoder of pictures in front.
"""

# %%
# The texts
# ---------
# They are the first paragraphs of the docstrings of SciPy (BSD licence). The label is the part of
# SciPy that they belong to.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmeta import MetaFewShotClassifier

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
with np.load(here / "scipy_texts.npz") as file:
    texts, labels, embeddings = file["texts"], file["labels"], file["embeddings"]
parts = np.unique(labels)
print(len(texts), "texts, such as:", texts[0])

# %%
# The pipeline
# ------------
# The encoder is yours. Here it is all-MiniLM-L6-v2 (Apache licence), whose 384 numbers for each
# text are in a file, so that the example needs no download. With the package sentence-transformers
# it would be ``encode = SentenceTransformer("all-MiniLM-L6-v2").encode``.

known = dict(zip(texts, embeddings.astype(float), strict=True))


def encode(texts):
    """Return the embedding of each text, (n_texts, 384)."""
    return np.array([known[text] for text in texts])


def behind_encoder(estimator):
    """Return a pipeline that takes texts."""
    return make_pipeline(FunctionTransformer(encode), estimator)


models = {
    "MetaFewShotClassifier()": behind_encoder(MetaFewShotClassifier()),
    "logistic regression": behind_encoder(LogisticRegression(max_iter=1000)),
}

# %%
# A few labels
# ------------
# Some texts of each part are labelled; accuracy and log loss are those of the others, the means
# over draws.

SIZES, N_DRAWS = (1, 3, 5, 10), 3


def measure(size):
    """Return accuracy and log loss of each model in each draw, (n_draws, n_models, 2)."""
    scores = np.empty((N_DRAWS, len(models), 2))
    for draw in range(N_DRAWS):
        order = np.random.default_rng(draw).permutation(len(labels))
        few = np.concatenate([order[labels[order] == part][:size] for part in parts])
        rest = np.setdiff1d(order, few)
        for k, model in enumerate(models.values()):
            p = model.fit(texts[few], labels[few]).predict_proba(texts[rest])
            true = np.searchsorted(parts, labels[rest])
            scores[draw, k] = (p.argmax(1) == true).mean(), -np.log(p[range(len(p)), true]).mean()
    return scores


results = np.array([measure(size) for size in SIZES])
for size, scores in zip(SIZES, results.mean(1), strict=True):
    for name, (accuracy, loss) in zip(models, scores, strict=True):
        print(f"{size:2} of each part, {name:24} accuracy {accuracy:.3f}, log loss {loss:.3f}")

# %%
# Accuracy is level, and from three labels of each part on the log loss is about half. All columns
# of an embedding vary little, so logistic regression with its default penalty is not sure enough of
# what it gets right. MetaFewShotClassifier chooses by held-out rows how sure it is.

_, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for k, name in enumerate(models):
    for axis, values in zip(axes, np.moveaxis(results[:, :, k], 2, 0), strict=True):
        error = values.std(1, ddof=1) / np.sqrt(N_DRAWS)
        axis.errorbar(SIZES, values.mean(1), error, marker="o", capsize=3, label=name)
for axis, what in zip(axes, ("accuracy on other texts", "log loss"), strict=True):
    axis.set(xscale="log", xlabel="labelled texts of each part", ylabel=what)
    axis.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
    axis.minorticks_off()
axes[0].legend()
plt.show()
