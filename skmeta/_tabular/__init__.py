"""A table as arrays, NumPy and SciPy only: rows, folds, targets, models, and their mixture."""

from skmeta._tabular._cases import (
    Division,
    find_nested,
    make_divisions,
    parents_of,
    steps_ahead,
)
from skmeta._tabular._ensemble import TreeEnsemble, trees_to_arrays
from skmeta._tabular._linalg import cholesky, inverse_of_factor, solve_lower
from skmeta._tabular._linear import RidgeClassifier, fit_ridge
from skmeta._tabular._member import (
    PROBABILITIES,
    UNCALIBRATED,
    CalibratedOutputs,
    HeldOut,
    Level,
    Member,
    Outputs,
    count_independent,
    interpolate,
    widening,
)
from skmeta._tabular._mixture import Mixture, Refitted, fit_mixture, share
from skmeta._tabular._population import (
    FitSettings,
    Population,
    fill,
    fit_population,
    folds_of,
    log_odds,
    losses_of,
    silent,
    varying,
    with_all_classes,
)
from skmeta._tabular._process import (
    MAX_RELEVANCES,
    GaussianProcess,
    condition_process,
    fit_process,
)
from skmeta._tabular._rows import (
    MANY_ROWS,
    Fold,
    WeightedRows,
    arrange,
    hold_out,
    location_and_scale,
    order_by_content,
    order_of_columns,
    rank_classes,
)
from skmeta._tabular._table import (
    Order,
    Standardiser,
    Table,
    at_most,
    canonical_order,
    deal_groups,
    deal_rows,
    places_in_groups,
    weighted_quantiles,
)
from skmeta._tabular._target import (
    DECILES,
    KINDS,
    Scale,
    Target,
    cut_distributions,
    least_expected,
    mean_of_quantiles,
    places_of,
    quantile_loss,
    quantiles_at,
    recognise_target,
    scales_of,
    unconditional_quantiles,
    without_rounding,
)
from skmeta._tabular._time_process import (
    TimeProcess,
    TimeRows,
    batches,
    fit_time_process,
    predict_season,
    predict_time_process,
)
from skmeta._tabular._trees import MAX_CLASSES, fit_boosting, fit_forest
from skmeta._tabular._units import TargetUnits, count_quantiles
from skmeta._tabular._weights import (
    LEVELS,
    TimeRule,
    average_weights,
    find_level,
    mix,
    mix_deviations,
    reshape_distributions,
    sharpen,
    weight_grid,
)

__all__ = []
