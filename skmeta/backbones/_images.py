"""The check of an input that has to be an image."""

from __future__ import annotations

from skmeta.exceptions import BackboneError


def check_image_shape(backbone: str, input_shape: tuple[int, ...], for_tables: str = "mlp") -> None:
    """Check that rows are images.

    Parameters
    ----------
    backbone : str
        Name of the network, for the message.
    input_shape : tuple of int
        Shape of one row.
    for_tables : str, default="mlp"
        Name of a network for rows that are no images, for the message.

    Raises
    ------
    BackboneError
        If the shape is not (channels, height, width).
    """
    if len(input_shape) != 3:
        raise BackboneError(
            f"Backbone {backbone!r} needs images of shape (channels, height, width), but the input "
            f"has shape {input_shape}. Pass input_shape, or use backbone={for_tables!r} for tables."
        )
