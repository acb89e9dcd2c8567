"""Asks PyPI for known vulnerabilities of the locked packages: ``make audit``.

pip-audit does the asking, in an environment of its own as uv does for the locks: it is no part of what it audits.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from zero2ir.errors import InputError, one_line, one_line_errors

LOCKS = ("requirements.lock", "requirements-cuda.lock")
OPTIONS = ("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json")


def audit(pip_audit: str, locks: Sequence[str] = LOCKS) -> str:
    """Returns how many packages have no known vulnerability.

    Args:
        pip_audit: path of the program.
        locks: the files to audit.

    Raises:
        InputError: a package has a known vulnerability; or nothing could be asked, as without a network.
    """
    words = [pip_audit, *OPTIONS, *(word for lock in locks for word in ("--requirement", lock))]
    ended = subprocess.run(words, capture_output=True, text=True)
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"could not audit: {one_line(ended.stderr)[-300:] or 'no answer'}; try again") from None
    audited = [one for one in packages if "vulns" in one]
    if not audited:
        raise InputError(f"could not audit: PyPI answers for none of {len(packages)} packages; use a network with it")
    if lines := [vulnerability(one, known) for one in audited for known in one["vulns"]]:
        raise InputError(f"{'; '.join(lines)}; raise the versions and run make lock")
    unknown = len(packages) - len(audited)
    return f"{len(audited)} packages without a known vulnerability" + (f", {unknown} not on PyPI" if unknown else "")


def vulnerability(package: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Returns a vulnerability as e.g. "jinja2 2.4.1: PYSEC-2019-217, fixed in 2.10.1"."""
    fixed = " or ".join(known["fix_versions"]) or "no version"
    return f"{package['name']} {package['version']}: {known['id']}, fixed in {fixed}"


if __name__ == "__main__":
    one_line_errors(lambda: print(audit(sys.argv[1])))
