"""Bridges to other packages: one module each, for which the package must be installed."""

__all__ = []
