"""The provenance of the results: code, seeds, judged queries, machine and packages."""

from zero2ir.io.markdown import heading
from zero2ir.report.tables import Summary

PACKAGES_KEY = "packages"
_MACHINE = ("system", "processor", "python")


def provenance(summary: Summary) -> dict[str, str]:
    """Returns code, seeds, judged queries, machine and packages of all results; lists the distinct values."""
    runtime: dict[str, list[str]] = {}
    for each in summary.results:
        for name, value in each.system.runtime.items():
            runtime.setdefault(name, []).append(value)
    facts = {
        "code": [each.system.notes["code"] for each in summary.results if "code" in each.system.notes],
        "seeds": [str(seed) for seed in summary.seeds],
        "judged_queries": [str(n) for each in summary.results if (n := each.system.judged_queries) is not None],
        **{name: runtime.pop(name, []) for name in _MACHINE},
        PACKAGES_KEY: [f"{name} {_listed(versions)}" for name, versions in runtime.items()],
    }
    return {heading(name): _listed(values) for name, values in facts.items() if values}


def _listed(values: list[str]) -> str:
    """Returns the distinct values in order of first occurrence."""
    return ", ".join(dict.fromkeys(values))
