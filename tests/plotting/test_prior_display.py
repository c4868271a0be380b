"""What a prior expects along its parameters, against surfaces that are known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC

from skmeta.plotting import PriorDisplay
from skmeta.search import (
    AlgorithmSelectionPrior,
    JointPrior,
    MetaLearnedSearchCV,
    PastSearch,
    SearchPrior,
)
from skmeta.search.analysis import prior_effects


def learn(best, name="SVC", seed=0, n=40):
    """A prior of searches whose best log10 C is given, and in which `kind` makes a difference."""
    rng = np.random.default_rng(seed)
    searches = []
    for k, at in enumerate(best):
        logs = rng.uniform(-3, 3, n)
        kinds = rng.choice(["u", "v"], n)
        idle = rng.uniform(0, 1, n)
        configurations = tuple(
            {f"{name}.C": float(10**v), f"{name}.kind": str(kind), f"{name}.idle": float(i)}
            for v, kind, i in zip(logs, kinds, idle, strict=True)
        )
        scores = -((logs - at) ** 2) + 4.0 * (kinds == "u")
        searches.append(
            PastSearch(
                dataset=f"set {k}", configurations=configurations, scores=scores, estimator=name
            )
        )
    return SearchPrior.from_searches(searches)


@pytest.fixture(scope="module")
def prior():
    return learn([1.0, 1.0, 1.0, -1.0])


def test_effects_are_those_of_the_surfaces(prior):
    effects = {effect.name: effect for effect in prior_effects(prior)}
    axis = effects["SVC.C"].axis
    assert axis.is_log
    assert abs(np.log10(axis.numbers[np.argmax(axis.mean)]) - 0.6) < 0.5
    assert (axis.low <= axis.mean).all()
    assert (axis.mean <= axis.high).all()
    kind = effects["SVC.kind"].axis
    assert kind.values == ("u", "v")
    assert kind.value_mean[0] > kind.value_mean[1] + 0.5
    assert effects["SVC.idle"].spread < 0.2 * effects["SVC.C"].spread


def test_shares_are_where_data_sets_have_their_best_value(prior):
    effect = next(e for e in prior_effects(prior) if e.name == "SVC.C")
    logs = np.log10(effect.axis.numbers)
    assert effect.best_shares.sum() == pytest.approx(1)
    assert effect.best_shares[np.abs(logs - 1) < 0.7].sum() == 0.75
    assert effect.best_shares[np.abs(logs + 1) < 0.7].sum() == 0.25


def test_panels_have_one_scale_and_the_bars_below(prior):
    display = PriorDisplay.from_prior(prior)
    assert display.parameters[-1] == "SVC.idle"
    assert [ax.get_xlabel() for ax in display.axes_] == display.parameters
    assert len({ax.get_ylim() for ax in display.axes_}) == 1
    for ax, effect in zip(display.axes_, display.effects, strict=True):
        heights = np.array([bar.get_height() for bar in ax.patches])
        np.testing.assert_allclose(
            heights / heights.max(), effect.best_shares / effect.best_shares.max()
        )
        assert (ax.get_ylim()[0] + heights < effect.axis.low.min(initial=np.inf)).all()


def test_the_user_s_own_searches_are_drawn_beside_the_shipped_ones(prior):
    display = PriorDisplay.from_prior(JointPrior(learn([0.0, 0.5], seed=1), prior))
    legend = display.ax_.get_legend()
    assert {text.get_text() for text in legend.get_texts()} == {"own searches", "shipped"}
    styles = {line.get_linestyle() for line in display.ax_.lines if len(line.get_xdata()) > 5}
    assert styles == {"-", "--"}


def test_each_estimator_has_its_parameters(prior):
    choice = AlgorithmSelectionPrior({"SVC": prior, "Tree": learn([0.0] * 4, "Tree", seed=2)})
    names = PriorDisplay.from_prior(choice).parameters
    assert {name.partition(".")[0] for name in names} == {"SVC", "Tree"}


def test_parameters_and_axes(prior):
    _, ax = plt.subplots()
    display = PriorDisplay.from_prior(prior, ax=ax, parameters=["SVC.kind"])
    assert display.ax_ is ax
    with pytest.raises(ValueError, match="parameters must be some of"):
        display.plot(parameters=["SVC.gamma"])
    with pytest.raises(ValueError, match="one Axes per parameter, 3, got 1"):
        display.plot(ax)


def test_from_a_search(iris):
    search = MetaLearnedSearchCV(SVC(), {"C": [0.1, 1.0, 10.0]}, n_iter=2, cv=2, random_state=0)
    with pytest.raises(NotFittedError, match="not fitted"):
        PriorDisplay.from_estimator(search)
    search.fit(*iris)
    assert "SVC.C" in PriorDisplay.from_estimator(search, parameters=["SVC.C"]).parameters
    search.prior_ = None
    with pytest.raises(ValueError, match="had no prior"):
        PriorDisplay.from_estimator(search)


def test_a_prior_that_knows_nothing():
    with pytest.raises(ValueError, match="knows no parameter"):
        PriorDisplay.from_prior(SearchPrior.from_searches([]))
