import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier

from skmeta.plotting import EpisodeDisplay

Y_SUPPORT = np.array(["dog", "cat"])
Y_QUERY = np.array(["cat", "dog", "cat", "dog"])
Y_PRED = np.array(["cat", "cat", "cat", "dog"])


def images(n, *shape):
    return np.random.default_rng(n).random((n, *shape))


def draw(**kwargs):
    return EpisodeDisplay.from_predictions(
        images(2, 16), Y_SUPPORT, images(4, 16), Y_QUERY, Y_PRED, **kwargs
    )


def drawn_images(display):
    """Each image drawn, by its upper left corner."""
    actual = {}
    for picture in display.ax_.images:
        left, _, _, top = picture.get_extent()
        actual[round(left, 6), round(top, 6)] = np.asarray(picture.get_array())
    return actual


def test_each_class_is_a_row_and_support_comes_first():
    display = draw()
    drawn = drawn_images(display)
    assert len(drawn) == 6
    rows = sorted({top for _, top in drawn})
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["cat", "dog"]
    support, query = images(2, 4, 4), images(4, 4, 4)
    for row, expected in zip(
        rows, ([support[1], query[0], query[2]], [support[0], query[1], query[3]]), strict=True
    ):
        actual = [drawn[corner] for corner in sorted(drawn) if corner[1] == row]
        np.testing.assert_array_equal(actual, expected)


def test_wrong_predictions_are_named():
    assert [t.get_text() for t in draw().ax_.texts] == ["→ cat"]


def test_long_names_of_wrong_predictions_stay_below_their_frame():
    names = {"cat": "a cat with a long name", "dog": "dog"}
    y_support, y_query, y_pred = ([names[y] for y in ys] for ys in (Y_SUPPORT, Y_QUERY, Y_PRED))
    display = EpisodeDisplay.from_predictions(
        images(2, 16), y_support, images(4, 16), y_query, y_pred
    )
    assert [t.get_text() for t in display.ax_.texts] == ["→ a cat wi…"]


def test_frames_have_the_colour_of_the_predicted_class():
    ax = draw().ax_
    frames = [line.get_color() for line in ax.lines if len(line.get_xdata()) == 5]
    cat, dog = (t.get_color() for t in ax.get_yticklabels())
    # Row of the cats: support, two right ones; row of the dogs: support, a wrong and a right one.
    assert frames == [cat, cat, cat, dog, cat, dog]


def test_title_counts_images_that_are_not_drawn():
    display = draw(max_query=1)
    assert len(display.ax_.images) == 4
    assert display.ax_.get_title() == "accuracy 75% of 4 query images"


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected"),
    [
        ((36,), None, (6, 6)),
        ((36,), (4, 9), (4, 9)),
        ((36,), (1, 4, 9), (4, 9)),
        ((48,), (3, 4, 4), (4, 4, 3)),
        ((4, 9), None, (4, 9)),
        ((1, 4, 9), None, (4, 9)),
        ((3, 4, 9), None, (4, 9, 3)),
    ],
)
def test_takes_rows_and_images(shape, image_shape, expected):
    display = EpisodeDisplay.from_predictions(
        images(2, *shape), Y_SUPPORT, images(4, *shape), Y_QUERY, Y_PRED, image_shape=image_shape
    )
    assert display.query_images.shape == (4, *expected)


def test_channels_go_last():
    X = images(2, 3, 4, 4)
    display = EpisodeDisplay.from_predictions(X, Y_SUPPORT, X, Y_SUPPORT, Y_SUPPORT)
    np.testing.assert_array_equal(display.support_images[..., 1], X[:, 1])


def test_from_estimator_predicts():
    X, X_query = images(2, 16), images(4, 16)
    clf = KNeighborsClassifier(1).fit(X, Y_SUPPORT)
    display = EpisodeDisplay.from_estimator(clf, X, Y_SUPPORT, X_query, Y_QUERY)
    np.testing.assert_array_equal(display.predictions, clf.predict(X_query))


def test_draws_on_the_axes_given():
    figure, ax = plt.subplots()
    display = draw(ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure


@pytest.mark.parametrize(
    ("shape", "image_shape", "match"),
    [
        ((10,), None, r"shape \(3, 3\) have 9 values, but rows have 10. Give image_shape"),
        ((16,), (3, 4), "have 12 values, but rows have 16"),
        ((2, 4, 4), None, "Images must have shape"),
    ],
)
def test_rows_that_are_no_images_are_refused(shape, image_shape, match):
    X = images(2, *shape)
    with pytest.raises(ValueError, match=match):
        EpisodeDisplay.from_predictions(
            X, Y_SUPPORT, X, Y_SUPPORT, Y_SUPPORT, image_shape=image_shape
        )


def test_bad_arguments_are_refused():
    X = images(2, 16)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        EpisodeDisplay.from_predictions(X, Y_SUPPORT, X, Y_SUPPORT, ["cat"])
    with pytest.raises(NotFittedError, match="not fitted"):
        EpisodeDisplay.from_estimator(KNeighborsClassifier(), X, Y_SUPPORT, X, Y_SUPPORT)
