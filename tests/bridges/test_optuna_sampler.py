"""The sampler for Optuna, in studies of the real package."""

import pickle
import sys

import numpy as np
import optuna
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmeta.bridges.optuna import PriorSampler
from skmeta.search import SearchPrior
from skmeta.search.record import PastSearch

optuna.logging.set_verbosity(optuna.logging.ERROR)
BEST_C, BEST_GAMMA = 10.0, 0.01


def score(C, gamma):
    return -0.1 * np.log10(C / BEST_C) ** 2 - 0.05 * np.log10(gamma / BEST_GAMMA) ** 2


def make_prior(sign=1.0):
    rng = np.random.default_rng(0)
    searches = []
    for k in range(6):
        tried = [
            {"SVC.C": float(10**a), "SVC.gamma": float(10**b)}
            for a, b in rng.uniform([-3, -5], [4, 1], (40, 2))
        ]
        scores = np.array([sign * score(c["SVC.C"], c["SVC.gamma"]) for c in tried])
        of = {"dataset": f"set {k}", "estimator": "SVC", "metric": "accuracy"}
        scores = scores + 0.01 * rng.normal(size=40)
        searches.append(PastSearch(configurations=tuple(tried), scores=scores, **of))
    return SearchPrior.from_searches(searches)


@pytest.fixture(scope="module")
def prior():
    return make_prior()


def objective(trial):
    C = trial.suggest_float("C", 1e-3, 1e4, log=True)
    return score(C, trial.suggest_float("gamma", 1e-5, 1e1, log=True))


def optimise(sampler, n_trials, function=objective, direction="maximize"):
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.optimize(function, n_trials=n_trials, catch=(RuntimeError,))
    return study


def test_a_study_finds_the_best_value_sooner_than_without_a_prior(prior):
    with_prior = [
        optimise(PriorSampler(prior, estimator=SVC(), random_state=s), 6).best_value
        for s in range(3)
    ]
    without = [optimise(PriorSampler(None, random_state=s), 6).best_value for s in range(3)]
    assert np.mean(with_prior) > np.mean(without)
    assert min(with_prior) > -0.03


def test_a_misleading_prior_is_given_up():
    sampler = PriorSampler(make_prior(sign=-1.0), estimator=SVC(), random_state=0)
    assert optimise(sampler, 25).best_value > -0.05


def test_values_are_minimised_if_the_study_does(prior):
    sampler = PriorSampler(prior, estimator=SVC(), random_state=0)
    study = optimise(sampler, 8, lambda trial: -objective(trial), direction="minimize")
    assert study.best_value < 0.03


def test_names_are_those_of_the_estimator(prior):
    def piped(trial):
        C = trial.suggest_float("svc__C", 1e-3, 1e4, log=True)
        return score(C, trial.suggest_float("gamma", 1e-5, 1e1, log=True))

    pipe = make_pipeline(StandardScaler(), SVC())
    sampler = PriorSampler(prior, estimator=pipe, random_state=0)
    assert optimise(sampler, 4, piped).best_value > -0.05


def test_all_kinds_of_distributions_and_conditions(prior):
    def mixed(trial):
        kernel = trial.suggest_categorical("kernel", ["rbf", "linear"])
        C = trial.suggest_float("C", 1e-3, 1e4, log=True)
        value = -0.1 * np.log10(C / BEST_C) ** 2 + 0.1 * trial.suggest_int("n", 1, 9, step=2)
        value += trial.suggest_float("step", 0, 1, step=0.25)
        trial.suggest_int("one", 3, 3)
        if kernel == "rbf":
            trial.suggest_float("gamma", 1e-5, 1e1, log=True)
        return value

    study = optimise(PriorSampler(prior, estimator=SVC(), random_state=0), 15, mixed)
    for trial in study.trials:
        assert trial.state.name == "COMPLETE"
        assert trial.params["n"] in (1, 3, 5, 7, 9)
        assert trial.params["step"] in (0, 0.25, 0.5, 0.75, 1)
        assert ("gamma" in trial.params) == (trial.params["kernel"] == "rbf")
    assert study.best_value > 1.5


def test_failed_and_pruned_trials_are_taken_note_of(prior):
    def shaky(trial):
        value = objective(trial)
        if trial.number % 3 == 1:
            raise RuntimeError("out of memory")
        if trial.number % 3 == 2:
            raise optuna.TrialPruned
        return value

    study = optimise(PriorSampler(prior, estimator=SVC(), random_state=0), 12, shaky)
    places = [(trial.params["C"], trial.params["gamma"]) for trial in study.trials]
    assert len(set(places)) == 12
    assert study.best_value > -0.05


def test_a_study_goes_on_with_a_pickled_sampler(prior):
    sampler = PriorSampler(prior, estimator=SVC(), random_state=0)
    study = optimise(sampler, 4)
    study.sampler = pickle.loads(pickle.dumps(sampler))
    study.optimize(objective, n_trials=3)
    assert len(study.trials) == 7
    sampler.reseed_rng()
    assert sampler._seed != study.sampler._seed


def test_a_prior_that_ships():
    assert len(optimise(PriorSampler(estimator=SVC(), random_state=0), 3).trials) == 3


def test_what_is_refused(prior):
    with pytest.raises(ValueError, match="needs the estimator that is tuned"):
        PriorSampler()
    with pytest.raises(ValueError, match="No prior ships for StandardScaler"):
        PriorSampler(estimator=StandardScaler())
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=PriorSampler(prior, estimator=SVC())
    )
    with pytest.raises(ValueError, match="one objective, got 2"):
        study.optimize(lambda trial: (objective(trial), 0.0), n_trials=2)
    with pytest.raises(ValueError, match="prior of skmeta, got 'file'"):
        PriorSampler("file", estimator=SVC())


def test_optuna_is_asked_for_if_it_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "skmeta.bridges.optuna")
    with pytest.raises(ImportError, match=r"pip install '\.\[optuna\]'"):
        import skmeta.bridges.optuna  # noqa: F401
