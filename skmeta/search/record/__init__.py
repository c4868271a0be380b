"""Records of past searches, and fingerprints of data sets."""

from skmeta.search.record._fingerprint import DataFingerprint, fingerprint_data, sketch_similarity
from skmeta.search.record._records import (
    Configuration,
    Evaluation,
    PastSearch,
    RecordedSearch,
    SearchRecord,
    Value,
)

__all__ = [
    "Configuration",
    "DataFingerprint",
    "Evaluation",
    "PastSearch",
    "RecordedSearch",
    "SearchRecord",
    "Value",
    "fingerprint_data",
    "sketch_similarity",
]
