"""Hyperparameter search that remembers."""

__all__: list[str] = []
