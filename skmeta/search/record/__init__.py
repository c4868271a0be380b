"""Records of past searches, and fingerprints of data sets."""

from skmeta.search.record._dataset_features import dataset_features as dataset_features
from skmeta.search.record._fingerprint import DataFingerprint as DataFingerprint
from skmeta.search.record._fingerprint import fingerprint_data as fingerprint_data
from skmeta.search.record._fingerprint import sketch_similarity as sketch_similarity
from skmeta.search.record._records import CandidateRecord as CandidateRecord
from skmeta.search.record._records import Configuration as Configuration
from skmeta.search.record._records import PastSearch as PastSearch
from skmeta.search.record._records import RecordedSearch as RecordedSearch
from skmeta.search.record._records import SearchRecord as SearchRecord
from skmeta.search.record._records import Value as Value
from skmeta.search.record._rows import features_at_rows as features_at_rows
from skmeta.search.record._rows import name_at_rows as name_at_rows
