"""
Texts with few labels
=====================

Labels are scarce where texts are many: messages to sort, papers to screen. An embedding needs no
labels, so it can be learned from all texts; then a few labels train a classifier on it. Here the
embedding is scikit-learn's TF-IDF and truncated SVD, and the classifier is the prior that ships for
small tables.
"""

# %%
# The texts
# ---------
# They are the first paragraphs of the docstrings of SciPy's functions and classes (BSD licence),
# read from the installed package. The label is the part of SciPy that they belong to.

import importlib
import inspect
import re

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from skmeta import MetaFewShotClassifier

PARTS = ["interpolate", "linalg", "ndimage", "optimize", "signal", "sparse", "special", "stats"]
SECTION = re.compile(r"\n\s*(?:Parameters|Attributes|Methods|Notes|Returns|\.\. )")


def first_paragraphs(part):
    """Return the beginning of each docstring of a part of SciPy, without the signature."""
    module = importlib.import_module(f"scipy.{part}")
    things = [getattr(module, name) for name in module.__all__]
    docs = [inspect.getdoc(thing) or "" for thing in things if not inspect.ismodule(thing)]
    leads = {re.sub(r"^\w+\(.*\)\n", "", SECTION.split(doc)[0]) for doc in docs}
    return sorted(lead for lead in leads if len(lead.split()) > 5)


found = {part: first_paragraphs(part) for part in PARTS}
texts = [text for part in PARTS for text in found[part]]
labels = np.repeat(PARTS, [len(found[part]) for part in PARTS])
print(len(texts), "texts, such as:", " ".join(found["signal"][0].split()[:12]), "...")

# %%
# The embedding
# -------------
# It is fitted to all texts and to none of the labels.

embed = make_pipeline(
    TfidfVectorizer(stop_words="english", sublinear_tf=True, token_pattern="[A-Za-z]{3,}"),
    TruncatedSVD(20, random_state=0),
    Normalizer(),
)
X = embed.fit_transform(texts)

# %%
# A few labels
# ------------
# Some texts of each part are labelled; accuracy is that on 400 others, the mean over draws.

SIZES, N_DRAWS = (2, 3, 5, 10, 20), 5
models = {
    "MetaFewShotClassifier()": MetaFewShotClassifier(),
    "logistic regression": LogisticRegression(max_iter=1000),
}


def measure(size):
    """Return the accuracy of each model in each draw."""
    accuracy = np.empty((N_DRAWS, len(models)))
    for draw in range(N_DRAWS):
        order = np.random.default_rng(draw).permutation(len(labels))
        few = np.concatenate([order[labels[order] == part][:size] for part in PARTS])
        rest = np.setdiff1d(order, few, assume_unique=True)[:400]
        for k, model in enumerate(models.values()):
            accuracy[draw, k] = model.fit(X[few], labels[few]).score(X[rest], labels[rest])
    return accuracy


results = np.array([measure(size) for size in SIZES])
for size, mean in zip(SIZES, results.mean(1), strict=True):
    print(f"{size:2} labels of each part: {mean[0]:.3f}, logistic regression {mean[1]:.3f}")

# %%
# With five labels of each part or fewer, logistic regression is ahead. All columns of an embedding
# have one unit, and it uses that the first ones vary most; the prior looks at each column by its
# own range, as is right for tables of different measurements. With ten labels they are level, and
# with twenty the prior is ahead. So compare the two where columns come from an embedding.

_, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for part, colour in zip(PARTS, plt.cm.tab10.colors, strict=False):
    left.scatter(*X[labels == part, 1:3].T, s=8, alpha=0.7, color=colour, label=part)
left.set(title="two of twenty columns of the embedding", xticks=[], yticks=[])
left.legend(markerscale=2, fontsize="small", ncols=2)
for k, name in enumerate(models):
    mean = results[:, :, k].mean(1)
    error = results[:, :, k].std(1, ddof=1) / np.sqrt(N_DRAWS)
    right.errorbar(SIZES, mean, error, marker="o", capsize=3, label=name)
right.set(xscale="log", xlabel="labels of each part", ylabel="accuracy on other texts")
right.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
right.minorticks_off()
right.legend()
plt.show()
