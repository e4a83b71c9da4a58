"""The suites by the names that `--suite` takes. Each makes its scenarios for the given sizes."""

from . import applications, ceilings, fio, metadata

SUITES = {
    "fio": fio.scenarios,
    "metadata": metadata.scenarios,
    "applications": applications.scenarios,
    "ceilings": ceilings.scenarios,
}
