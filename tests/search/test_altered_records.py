"""Scores on record that were altered are not taken for one's own."""

import random
import re
import sqlite3

import pytest
from scipy.stats import loguniform
from searching import fit_and_listen, make_search
from sklearn.svm import SVC

SPACE = {"C": loguniform(1e-2, 1e2), "gamma": loguniform(1e-3, 1e1)}


def folds(search):
    columns = [search.cv_results_[f"split{k}_test_score"].tolist() for k in range(3)]
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def recorded(iris, tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "searches.db"
    return make_search(SVC(), SPACE, path, n_iter=8).fit(*iris), path.read_bytes()


def test_an_edited_score_is_evaluated_again(iris, path, recorded):
    first, content = recorded
    path.write_bytes(content)
    worst = int(first.cv_results_["mean_test_score"].argmin())
    with sqlite3.connect(path) as connection:
        values = '{"accuracy":[1.0,1.0,1.0]}', worst + 1
        connection.execute("UPDATE skmeta_candidate SET scores = ? WHERE id = ?", values)
    connection.close()
    found, told = fit_and_listen(make_search(SVC(), SPACE, path, n_iter=8), *iris)
    assert "candidate" in told[0]
    assert "a value was changed after it was recorded" in told[0]
    assert found.n_resumed_ == 7
    assert found.best_score_ == first.best_score_
    assert sorted(found.cv_results_["mean_test_score"]) == sorted(
        first.cv_results_["mean_test_score"]
    )


def test_no_flipped_bit_changes_a_result_in_silence(iris, path, recorded):
    first, sound = recorded
    scores = dict(zip(map(str, first.cv_results_["params"]), folds(first), strict=True))
    rows = [*re.finditer(rb'\{"accuracy":\[[0-9.,]+\]\}', sound)]
    rows += [*re.finditer(rb'\{"digest":"[^}]*\}', sound)]
    places = [p for row in rows for p in range(row.start(), row.end())]
    draw = random.Random(0)
    for _ in range(8):
        damaged = bytearray(sound)
        damaged[draw.choice(places)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found, told = fit_and_listen(make_search(SVC(), SPACE, path, n_iter=8), *iris)
        ours = dict(zip(map(str, found.cv_results_["params"]), folds(found), strict=True))
        assert told or ours == scores
