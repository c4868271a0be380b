"""scikit-learn's halving searches, which are experimental up to version 1.9."""

try:
    from sklearn.model_selection import HalvingGridSearchCV
except ImportError:
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingGridSearchCV

__all__ = ["HalvingGridSearchCV"]
