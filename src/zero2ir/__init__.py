"""Retrieval systems from scratch, with as few as ten relevance judgments."""

import os

# No library reports to its maker, and threads of torch and of numpy's OpenBLAS sleep while they wait: by default they
# spin, and beside other jobs a query takes eight times (torch) or twice (numpy) the processor time. Each library reads
# its variable when it is imported, which happens after this; child processes inherit the variables. A variable that the
# user has set stays as it is.
for _variable, _value in {
    "DO_NOT_TRACK": "true",  # read by several
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it downloads a list of prices
    "DVC_NO_ANALYTICS": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_WAIT_POLICY": "PASSIVE",
    "OPENBLAS_THREAD_TIMEOUT": "4",  # the shortest: 2 ** 4 cycles
}.items():
    os.environ.setdefault(_variable, _value)

from zero2ir.api import CrossValidationResult, compare, index, label, load, train  # noqa: E402
from zero2ir.errors import InputError  # noqa: E402

__version__ = "0.1.0"
__all__ = ["CrossValidationResult", "InputError", "compare", "index", "label", "load", "train"]
