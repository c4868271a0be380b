"""Search spaces: default spaces, candidates, names of parameters, encoding."""

from skmeta._identity import candidate_key, stable_repr
from skmeta.search.space._configurations import (
    CandidateDescriber,
    canonical_configurations,
    plain_value,
    shown_value,
)
from skmeta.search.space._defaults import default_search_space, expand_choices, kept_params
from skmeta.search.space._encoding import Encoding, is_logarithmic, parameter_names
from skmeta.search.space._names import canonical_names, predictor_name, short_names, signature
from skmeta.search.space._parts import every_param, is_estimator, replace_parts
from skmeta.search.space._round_limit import RoundLimit
from skmeta.search.space._space import Candidate, SearchSpace
from skmeta.search.space._target_units import relative_configuration, target_scale
