"""scikit-learn's own checks, on every estimator."""

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmeta import GroupedClassifier, GroupedRegressor, MetaFewShotClassifier, MetaFewShotRegressor
from skmeta.search import MetaLearnedSearchCV


@pytest.mark.filterwarnings("ignore:Grouped.* has groups=None")
@parametrize_with_checks(
    [MetaFewShotClassifier(), MetaFewShotRegressor(), GroupedClassifier(), GroupedRegressor()]
)
def test_estimators(estimator, check):
    check(estimator)


CASTS = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
QUICK = {"n_iter": 3, "cv": 2, "error_score": "raise"}
OF_RIDGE = MetaLearnedSearchCV(Ridge(), {"alpha": [0.01, 0.1, 1.0, 10.0]}, **QUICK)
IN_BATCHES = MetaLearnedSearchCV(
    make_pipeline(StandardScaler(), LogisticRegression()),
    {"logisticregression__C": [0.1, 0.3, 1.0, 3.0]},
    batch_size=2,
    **QUICK,
)


@CASTS
@parametrize_with_checks(
    [OF_RIDGE],
    # As of scikit-learn's own searches: the column y goes to the estimator as it is.
    expected_failed_checks=lambda search: {
        "check_supervised_y_2d": "Ridge takes a column of targets without a warning"
    },
)
def test_searches(estimator, check):
    check(estimator)


@pytest.mark.slow
@CASTS
@parametrize_with_checks([IN_BATCHES])
def test_searches_in_batches(estimator, check):
    check(estimator)
