"""Runs llama.cpp in this process, as an OpenAI-compatible endpoint on the loopback interface."""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from zero2ir.errors import InputError

START_SECONDS = 60.0  # a start takes about two seconds, more on a loaded machine


@contextmanager
def embedded_server(
    weights: Path, context: int, threads: int, chat_template: str | None = None, thoughts: bool = True
) -> Iterator[str]:
    """Serves a GGUF model at a free port and yields the base URL, e.g. "http://127.0.0.1:41235".

    The server is a thread of this process and ends with it, even if the process is killed. It answers one request at a
    time, with ``context`` tokens for prompt and answer together. ``thoughts`` are left to the model, or switched off by
    its template.

    Raises:
        InputError: xllamacpp is missing, or llama.cpp cannot load the file.
    """
    try:
        import xllamacpp
    except ImportError:
        raise InputError("the embedded LM needs the package xllamacpp: pip install xllamacpp") from None

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    if chat_template is not None:
        params.chat_template = chat_template
    if not thoughts:
        params.enable_reasoning = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    # With flash attention, rounding depends on the batch shape, and the shape on the content of the prompt cache: the
    # same request would give different texts after different requests. Without it, texts depend on the request only.
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.verbosity = -1  # silences llama.cpp's log; loading errors are still raised
    params.cache_ram_mib = 0  # no second prompt cache in main memory; the slot's own cache suffices
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise InputError(
            f"{weights}: llama.cpp cannot load this file as a GGUF model ({error}); check lm.weights"
        ) from None
    _wait_until_healthy(server.listening_address)
    try:
        yield server.listening_address
    finally:
        del server  # stops the thread and frees the port


def _wait_until_healthy(base_url: str) -> None:
    """Waits until the server answers; its requests bypass any proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with opener.open(f"{base_url}/health", timeout=5):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"the embedded LM at {base_url} did not start within {START_SECONDS:.0f} s ({error}); "
                    "free processor time or memory and run again"
                ) from None
            time.sleep(0.05)
