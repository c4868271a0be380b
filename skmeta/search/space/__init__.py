"""Search spaces: default spaces, candidates, names of parameters, encoding."""

from skmeta.search.space._defaults import (
    default_search_space,
    expand_choices,
    kept_params,
    relative_configuration,
    target_scale,
)
from skmeta.search.space._encoding import Encoding, is_logarithmic, parameter_names
from skmeta.search.space._parts import (
    CandidateDescriber,
    candidate_key,
    canonical_configurations,
    canonical_names,
    every_param,
    is_estimator,
    is_list_of_parts,
    plain_value,
    predictor_name,
    replace_parts,
    short_names,
    shown_value,
    signature,
)
from skmeta.search.space._space import Candidate, SearchSpace
