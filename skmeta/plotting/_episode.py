"""Plot one episode: support images, query images and their predicted classes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skmeta._optional import import_optional
from skmeta.plotting._display import Display

# In units of one image: space between images, and between the support and the query set.
_GAP, _DIVIDE = 0.12, 0.6
_COLUMN, _ROW = 1 + _GAP, 1 + 3 * _GAP
_N_LETTERS = 9  # number of letters that fit below a frame


@dataclass(kw_only=True, eq=False, repr=False)
class EpisodeDisplay(Display):
    """Support and query images of an episode with predictions, one row per class.

    Each query image is in the row of its true class. Its frame has the colour of the predicted
    class. Below a wrong prediction, an arrow points to the predicted label.

    Create a display with :meth:`from_predictions` or :meth:`from_estimator`.

    Parameters
    ----------
    support_images : ndarray of shape (n_support, height, width) or (n_support, height, width, 3)
        Images of the support set.
    support_labels : ndarray of shape (n_support,)
        Classes of the support images.
    query_images : ndarray of shape (n_query, height, width) or (n_query, height, width, 3)
        Images of the query set.
    query_labels : ndarray of shape (n_query,)
        True classes of the query images.
    predictions : ndarray of shape (n_query,)
        Predicted classes of the query images.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels, one per row of the picture.
    accuracy : float
        Share of right predictions.
    ax_ : matplotlib Axes
        Axes of the drawing.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from skmeta.plotting import EpisodeDisplay
    >>> images = np.random.default_rng(0).random((6, 16))
    >>> display = EpisodeDisplay.from_predictions(
    ...     images[:2], ["a", "b"], images[2:], ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    ... )
    >>> display.accuracy
    0.75
    """

    support_images: np.ndarray
    support_labels: np.ndarray
    query_images: np.ndarray
    query_labels: np.ndarray
    predictions: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """Sorted labels of the episode."""
        return np.unique(np.concatenate([self.support_labels, self.query_labels, self.predictions]))

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return float(np.mean(self.predictions == self.query_labels))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_support: Any,
        y_support: Any,
        X_query: Any,
        y_query: Any,
        **kwargs: Any,
    ) -> Self:
        """Predict the query set with a fitted classifier, and draw the episode.

        Parameters
        ----------
        estimator : classifier
            Fitted on the support set.
        X_support, y_support, X_query, y_query : array-like
            As for :meth:`from_predictions`.
        **kwargs
            ``image_shape``, ``ax`` and others of :meth:`from_predictions`.

        Returns
        -------
        EpisodeDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(estimator)
        y_pred = estimator.predict(X_query)
        return cls.from_predictions(X_support, y_support, X_query, y_query, y_pred, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        X_support: Any,
        y_support: Any,
        X_query: Any,
        y_query: Any,
        y_pred: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        **plot_kw: Any,
    ) -> Self:
        """Draw an episode from given predictions.

        Parameters
        ----------
        X_support : array-like of shape (n_support, n_features) or (n_support, *image_shape)
            Images of the support set.
        y_support : array-like of shape (n_support,)
            Their labels.
        X_query : array-like of shape (n_query, n_features) or (n_query, *image_shape)
            Images of the query set.
        y_query : array-like of shape (n_query,)
            Their labels.
        y_pred : array-like of shape (n_query,)
            The labels predicted.
        image_shape : tuple of int or None, default=None
            Shape of an image that comes as a row of a table: ``(height, width)``, or channels
            first, ``(1, height, width)`` or ``(3, height, width)``. None takes rows for square
            grey images.
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure.
        **plot_kw
            Passed to :meth:`plot`.

        Returns
        -------
        EpisodeDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the rows are not images, or labels are missing.
        """
        check_consistent_length(X_support, y_support)
        check_consistent_length(X_query, y_query, y_pred)
        display = cls(
            support_images=_as_images(X_support, image_shape),
            support_labels=np.asarray(y_support),
            query_images=_as_images(X_query, image_shape),
            query_labels=np.asarray(y_query),
            predictions=np.asarray(y_pred),
        )
        return display.plot(ax, **plot_kw)

    def plot(self, ax: Any = None, *, max_query: int = 10, cmap: Any = "gray_r") -> Self:
        """Draw the episode.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a figure of a fitting size.
        max_query : int, default=10
            Most query images drawn of each class, wrong ones included as they come. The accuracy
            in the title is over all.
        cmap : str or matplotlib Colormap, default="gray_r"
            Colours of grey images.

        Returns
        -------
        EpisodeDisplay
            This display.
        """
        plt = import_optional("matplotlib.pyplot", "plot")
        classes = self.classes
        support = [np.flatnonzero(self.support_labels == label) for label in classes]
        query = [np.flatnonzero(self.query_labels == label)[:max_query] for label in classes]
        left = max(map(len, support)) * _COLUMN + _DIVIDE
        width, height = left + max(map(len, query)) * _COLUMN, len(classes) * _ROW
        size = (0.8 * width + 1.5, 0.8 * height + 0.8)
        ax = self._begin(ax, figsize=size, layout="constrained")
        n, rank = len(classes), {label: k for k, label in enumerate(classes)}
        palette = plt.get_cmap("tab10" if n <= 10 else "hsv")
        colors = [palette(k if n <= 10 else k / n) for k in range(n)]
        for k in range(n):
            y = k * _ROW
            for j, i in enumerate(support[k]):
                _draw_image(ax, self.support_images[i], j * _COLUMN, y, colors[k], cmap)
            for j, i in enumerate(query[k]):
                predicted, x = rank[self.predictions[i]], left + j * _COLUMN
                _draw_image(ax, self.query_images[i], x, y, colors[predicted], cmap)
                if predicted != k:
                    _name_prediction(ax, x, y, str(classes[predicted]), colors[predicted])
        ax.axvline(left - (_DIVIDE + _GAP) / 2, color="0.7", linewidth=1)
        ax.set(xlim=(-0.1, width), ylim=(height, -0.1), aspect="equal")
        middles = [(left - _DIVIDE - _GAP) / 2, (left + width - _GAP) / 2]
        ax.set_xticks(middles, ["support", "query"])
        ax.xaxis.tick_top()
        ax.set_yticks(np.arange(n) * _ROW + 0.5, classes.astype(str))
        for tick, color in zip(ax.get_yticklabels(), colors, strict=True):
            tick.set_color(color)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_title(f"accuracy {self.accuracy:.0%} of {len(self.predictions)} query images")
        return self


def _as_images(X: Any, image_shape: tuple[int, ...] | None) -> np.ndarray:
    """Return images with channels last; grey images without the channel axis."""
    images = np.asarray(X)
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        shape = (side, side) if image_shape is None else tuple(image_shape)
        if math.prod(shape) != images.shape[1]:
            raise ValueError(
                f"Images of shape {shape} have {math.prod(shape)} values, but rows have "
                f"{images.shape[1]}. Give image_shape."
            )
        images = images.reshape(len(images), *shape)
    if images.ndim == 3:
        return images
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images[:, 0] if images.shape[1] == 1 else np.moveaxis(images, 1, -1)
    raise ValueError(
        "Images must have shape (n, height, width), or (n, 1 or 3, height, width), or be rows of "
        f"a table, got an array of shape {images.shape}."
    )


def _draw_image(ax: Any, image: np.ndarray, x: float, y: float, color: Any, cmap: Any) -> None:
    # Rows of the picture go down, because the axis is inverted.
    ax.imshow(image, cmap=cmap, extent=(x, x + 1, y + 1, y), interpolation="nearest")
    frame_x, frame_y = [x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y]
    ax.plot(frame_x, frame_y, color=color, linewidth=2.5, solid_joinstyle="miter")


def _name_prediction(ax: Any, x: float, y: float, label: str, color: Any) -> None:
    # A wider text would overlap the next one. The colour identifies the class.
    text = f"→ {label}" if len(label) <= _N_LETTERS else f"→ {label[: _N_LETTERS - 1]}…"
    ax.text(x + 0.5, y + 1.06, text, color=color, fontsize=7, ha="center", va="top", weight="bold")
