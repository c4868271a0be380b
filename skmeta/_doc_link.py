"""The link from an estimator's HTML representation to its page in the documentation."""

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from typing import ClassVar

_VARIABLE = "SKMETA_DOC_URL"
_LABEL = "documentation"


class DocLink:
    """Mixin of all estimators: scikit-learn shows the link in the corner of the diagram.

    The address is that of the environment variable ``SKMETA_DOC_URL``, or the documentation's in
    the metadata of the package. Without one, there is no link. Classes of other packages that
    inherit from an estimator have none, either.
    """

    # The room where the name is public, if it is not that of the module.
    public_room: ClassVar[str] = ""
    # The names are scikit-learn's.
    _doc_link_module = "skmeta"

    @property
    def _doc_link_template(self) -> str:
        url = documentation_url()
        return (
            "" if url is None else url + "/api/generated/{estimator_module}.{estimator_name}.html"
        )

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        # Names are documented where they are public: skmeta.learners, and not a room within it.
        package, room, *_ = [*type(self).__module__.split("."), ""]
        module = f"{package}.{self.public_room or room}"
        return {"estimator_module": module, "estimator_name": type(self).__name__}


def documentation_url() -> str | None:
    """Return the address of the documentation, without a final slash; None if there is none."""
    return (os.environ.get(_VARIABLE) or _url_of_metadata() or "").rstrip("/") or None


@cache
def _url_of_metadata() -> str | None:
    try:
        entries = metadata("skmeta").get_all("Project-URL") or []
    except PackageNotFoundError:  # a source tree that was not installed
        return None
    pairs = (entry.partition(",") for entry in entries)
    return next((url.strip() for name, _, url in pairs if name.strip().lower() == _LABEL), None)
