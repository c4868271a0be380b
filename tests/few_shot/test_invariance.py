"""What has no effect on a few-shot estimator, on random tables; the docs promise no more."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from marks import slow
from table_properties import failures

from skmeta import MetaFewShotClassifier

pytestmark = pytest.mark.filterwarnings("ignore::skmeta.exceptions.UnusedDataWarning")

# A smaller failing table is not searched for: each costs some fits.
EXAMPLES = settings(
    max_examples=2,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


@pytest.mark.parametrize("name", [slow("MetaFewShotRegressor"), "MetaFewShotClassifier"])
@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_what_holds_on_any_table(name, seed):
    assert not {key: error for key, error in failures(name, seed).items() if error}


def test_too_many_classes_are_refused_before_work():
    X = np.arange(2002.0)[:, None]
    with pytest.raises(ValueError, match=r"y has 1,001 classes, but at most 1,000 are allowed"):
        MetaFewShotClassifier(device="cpu").fit(X, np.arange(2002) % 1001)
