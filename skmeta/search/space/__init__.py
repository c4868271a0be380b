"""Search spaces: default spaces, candidates, names of parameters, encoding."""

from skmeta._identity import candidate_key as candidate_key
from skmeta._identity import stable_repr as stable_repr
from skmeta.search.space._configurations import CandidateDescriber as CandidateDescriber
from skmeta.search.space._configurations import canonical_configurations as canonical_configurations
from skmeta.search.space._configurations import plain_value as plain_value
from skmeta.search.space._configurations import shown_value as shown_value
from skmeta.search.space._defaults import default_search_space as default_search_space
from skmeta.search.space._defaults import expand_choices as expand_choices
from skmeta.search.space._defaults import kept_params as kept_params
from skmeta.search.space._encoding import Encoding as Encoding
from skmeta.search.space._encoding import is_logarithmic as is_logarithmic
from skmeta.search.space._encoding import parameter_names as parameter_names
from skmeta.search.space._names import canonical_names as canonical_names
from skmeta.search.space._names import predictor_name as predictor_name
from skmeta.search.space._names import short_names as short_names
from skmeta.search.space._names import signature as signature
from skmeta.search.space._parts import every_param as every_param
from skmeta.search.space._parts import is_estimator as is_estimator
from skmeta.search.space._parts import replace_parts as replace_parts
from skmeta.search.space._round_limit import RoundLimit as RoundLimit
from skmeta.search.space._space import Candidate as Candidate
from skmeta.search.space._space import SearchSpace as SearchSpace
from skmeta.search.space._target_units import relative_configuration as relative_configuration
from skmeta.search.space._target_units import target_scale as target_scale
