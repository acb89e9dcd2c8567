"""The user's consent to the endpoints and keys that a loaded program names."""

import os
from collections.abc import Sequence

from zero2ir.errors import InputError
from zero2ir.lm.endpoint import is_loopback
from zero2ir.lm.settings import LMSettings

ENDPOINTS_VARIABLE = "ZERO2IR_ENDPOINTS"


def consent_of(settings: LMSettings) -> str | None:
    """Returns the consent that a language model needs: "URL", or "URL=VARIABLE" if a key goes there; None for none.

    A model on this machine without a key needs none. Without a URL, the protocol stands for its owner's endpoint.
    """
    if settings.provider != "litellm":
        return None
    url, variable = settings.api_base, settings.api_key_env
    place = str(settings.model).partition("/")[0] if url is None else url.rstrip("/")
    if variable is not None:
        return f"{place}={variable}"
    return None if url is not None and is_loopback(url) else place


def require_consent(settings: LMSettings, allowed: Sequence[str]) -> None:
    """Checks that the user allows a loaded program's language model, so that a foreign program cannot steal a key.

    Args:
        settings: the language model of the program.
        allowed: endpoints that the user allows, as ``consent_of`` writes them, in addition to those in the environment
            variable ``ZERO2IR_ENDPOINTS``, which are separated by white space.

    Raises:
        InputError: the endpoint, or the key for it, is not allowed.
    """
    wanted = consent_of(settings)
    given = {one.rstrip("/").replace("/=", "=") for one in (*allowed, *os.environ.get(ENDPOINTS_VARIABLE, "").split())}
    if wanted is None or wanted in given:
        return
    place, _, variable = wanted.rpartition("=") if settings.api_key_env else (wanted, "", "")
    key = f" with the key in {variable}" if variable else ""
    raise InputError(
        f"lm={settings.name}: the program sends its requests to {place}{key}; if you trust both, allow it with "
        f"--allow-endpoint {wanted}, with allow_endpoints=[{wanted!r}], or in {ENDPOINTS_VARIABLE}"
    )
