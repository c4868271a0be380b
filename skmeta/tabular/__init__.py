"""A table as arrays, NumPy and SciPy only: what the estimators of tables share."""

from skmeta.tabular._target import (
    DECILES,
    KINDS,
    Scale,
    Target,
    asinh_scale,
    mean_of_quantiles,
    mixture_quantiles,
    quantile_loss,
    quantiles_at,
    recognise_target,
    relative_quantile_loss,
    scales_of,
    unconditional_quantiles,
)

__all__ = []
