"""Import Gymnasium, or raise an error that names the missing package."""

from __future__ import annotations

try:
    import gymnasium
    import gymnasium.vector.utils
    from gymnasium.envs.classic_control import CartPoleEnv
    from gymnasium.envs.registration import load_env_creator
except ModuleNotFoundError as error:
    raise ImportError(
        "skmeta.policy needs gymnasium (1.0 or later), which is not installed. "
        "Install it: pip install '.[rl]'"
    ) from error

__all__ = ["CartPoleEnv", "gymnasium", "load_env_creator"]
