"""Records of past searches, and fingerprints of data sets."""

from skmeta.search.record._dataset_features import dataset_features
from skmeta.search.record._fingerprint import (
    DataFingerprint,
    are_siblings,
    fingerprint_data,
    share_rows,
)
from skmeta.search.record._records import (
    CandidateRecord,
    Configuration,
    PastSearch,
    RecordedSearch,
    SearchRecord,
    Value,
)
