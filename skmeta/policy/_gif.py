"""Write an episode as an animated GIF."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from skmeta._optional import import_optional
from skmeta.exceptions import InvalidEnvironmentError
from skmeta.policy._policy import MetaPolicy


def render_gif(
    policy: MetaPolicy,
    env: Any,
    path: str | PathLike[str],
    *,
    seed: int | None = 0,
    frames_per_second: int = 20,
) -> Path:
    """Play an episode with the most likely actions, and write it as a GIF.

    Parameters
    ----------
    policy : MetaPolicy
        A fitted policy.
    env : gymnasium.Env
        Made with ``render_mode="rgb_array"``.
    path : str or path-like
        Where to write. The folder must exist.
    seed : int or None, default=0
        Seed of the episode.
    frames_per_second : int, default=20
        Speed of the picture.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InvalidEnvironmentError
        If the environment does not render pictures.
    """
    image = import_optional("PIL.Image", "rl")
    if getattr(env, "render_mode", None) != "rgb_array":
        raise InvalidEnvironmentError(
            f"render_gif needs an environment made with render_mode='rgb_array', got "
            f"{getattr(env, 'render_mode', None)!r}. Pass render_mode to gymnasium.make, or to the "
            "method make of an EnvironmentFamily."
        )
    frames = []
    for _ in policy.play(env, seed=seed):
        picture = env.render()
        if not isinstance(picture, np.ndarray):
            raise InvalidEnvironmentError(
                f"{type(env).__name__}.render() returned {type(picture).__name__}, but a GIF needs "
                "arrays of shape (height, width, 3). Give an environment that renders these."
            )
        frames.append(image.fromarray(picture))
    path = Path(path)
    duration = round(1000 / frames_per_second)
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return path
