import numpy as np
import pytest
from boosters import CLASSES, make_booster
from scipy.stats import uniform
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmeta.search import default_search_space
from skmeta.search.space import SearchSpace, canonical_configurations
from skmeta.search.space._default_table import BOOSTING_SPACES


def test_the_table_names_the_classes_under_test():
    named = {name: package for package, table in BOOSTING_SPACES.items() for name in table}
    assert named == CLASSES


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_estimator_as_given_is_a_candidate_and_has_a_configuration(name):
    estimator = make_booster(name)
    space = SearchSpace(default_search_space(make_pipeline(StandardScaler(), estimator)))
    pipeline = make_pipeline(StandardScaler(), estimator)
    given, _ = space.nearest(pipeline)
    if name.startswith("CatBoost"):
        assert given == {}  # what was never set cannot be set back to what it was
    else:
        assert set(given) == set(space.names)
    sampled = space.sample(2, np.random.default_rng(0))
    for candidate, found in zip(
        [given, *sampled], canonical_configurations(pipeline, [given, *sampled]), strict=True
    ):
        for path, value in candidate.items():
            assert found[f"{name}.{path.rpartition('__')[2]}"] == value


def test_a_wrong_name_is_refused_for_an_estimator_that_lists_only_what_was_set():
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        SearchSpace({"learning_rte": uniform()}).check(make_booster("CatBoostClassifier"))
