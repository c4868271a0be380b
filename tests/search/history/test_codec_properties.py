"""Properties of rows that hold for all evaluations and searches, and for all damage to them."""

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from skmeta.exceptions import HistoryFormatError
from skmeta.search.history import _codec
from skmeta.search.record import CandidateRecord, SearchRecord

FLOATS = st.floats()  # NaN and infinities too
TEXTS = st.text(max_size=8)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), FLOATS, NAMES)
FOLDS = st.lists(FLOATS, max_size=4).map(tuple)
BY_METRIC = st.dictionaries(NAMES, FOLDS, max_size=3)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=_codec.KEY_LENGTH)

EVALUATIONS = st.builds(
    CandidateRecord,
    configuration=st.dictionaries(NAMES, VALUES, max_size=4),
    key=KEYS,
    params=NAMES,
    scores=BY_METRIC,
    train_scores=BY_METRIC,
    fit_times=FOLDS,
    score_times=FOLDS,
    n_rounds=st.lists(st.floats(1, 1e4) | st.just(float("nan")), max_size=4).map(tuple),
    n_test_samples=st.lists(st.integers(0, 2**40), max_size=4).map(tuple),
    error=st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs", "Cc"]))),
    source=st.sampled_from(["added", "prior", "model"]),
    predicted_mean_score=st.floats(allow_infinity=False),
    predicted_std_score=st.floats(allow_infinity=False),
)
RECORDS = st.builds(
    SearchRecord,
    fingerprint=NAMES,
    dataset=st.one_of(st.none(), st.text("abc", min_size=1, max_size=5)),
    data_digest=st.text("0123456789", min_size=24, max_size=24),
    data_sketch=st.lists(st.integers(0, 2**31 - 1), max_size=4).map(tuple),
    estimator=st.text("ABC|", max_size=6),
    signature=NAMES,
    space=st.dictionaries(NAMES, NAMES, max_size=3),
    cv=NAMES,
    metrics=st.dictionaries(NAMES, st.sampled_from([1, -1]), max_size=3),
    refit_metric=st.text("abc", max_size=6),
    dataset_features=st.dictionaries(NAMES, FLOATS, max_size=3),
    versions=st.dictionaries(NAMES, NAMES, max_size=3),
    seed=st.one_of(st.none(), st.integers(0, 2**64)),
    learned_until=st.one_of(st.none(), st.tuples(NAMES, st.integers(0, 2**40))),
    target_scale=st.floats(1e-300, 1e300),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
DAMAGE = st.one_of(
    TEXTS,
    st.binary(max_size=4),
    st.integers(),
    FLOATS,
    JSON.map(json.dumps),
)


def shown(value):
    """Text of a value with every digit; NaN is equal to NaN."""
    return repr(value).replace("-nan", "nan")


@settings(deadline=None)
@given(EVALUATIONS)
def test_an_evaluation_comes_back(evaluation):
    row = _codec.candidate_to_row(evaluation)
    assert shown(_codec.row_to_candidate(row)) == shown(evaluation)


@settings(deadline=None)
@given(RECORDS)
def test_a_search_comes_back(record):
    row = _codec.search_to_row(record)
    assert shown(_codec.row_to_search(row)) == shown(record)


def read_or_message(read, row):
    try:
        return read(row)
    except HistoryFormatError as error:
        return str(error)


EVALUATION = CandidateRecord(configuration={"a": 1}, key="k", scores={"m": (0.5,)})
RECORD = SearchRecord(fingerprint="f", estimator="SVC", metrics={"m": 1}, refit_metric="m")


@settings(deadline=None)
@given(st.sampled_from(sorted(_codec.candidate_to_row(EVALUATION))), DAMAGE)
def test_a_damaged_evaluation_is_read_or_refused_by_name(column, damage):
    row = {**_codec.candidate_to_row(EVALUATION), column: damage}
    actual = read_or_message(_codec.row_to_candidate, row)
    if isinstance(actual, str):
        assert actual.startswith(f"{column} is damaged: ")
    else:  # what is read can be written again
        actual = replace(actual, key="k", source="added", error=None)
        again = _codec.row_to_candidate(_codec.candidate_to_row(actual))
        assert shown(again) == shown(actual)


@settings(deadline=None)
@given(st.sampled_from(sorted(_codec.search_to_row(RECORD))), DAMAGE)
def test_a_damaged_search_is_read_or_refused_by_name(column, damage):
    row = {**_codec.search_to_row(RECORD), column: damage}
    actual = read_or_message(_codec.row_to_search, row)
    if isinstance(actual, str):
        assert actual.startswith(f"{column} is damaged: ")
    else:  # what is read can be written again
        assert _codec.row_to_search(_codec.search_to_row(actual)).metrics == actual.metrics
