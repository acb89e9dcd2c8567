"""llama.cpp inside this process, behind an OpenAI-compatible endpoint on the loopback interface."""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from zero2ir.errors import InputError

START_SECONDS = 60.0  # a start takes about two seconds; a loaded machine is given much more


@contextmanager
def embedded_server(
    weights: Path, context: int, slots: int, threads: int, chat_template: str | None = None
) -> Iterator[str]:
    """Serves a GGUF model for the duration of the block.

    The operating system chooses a free port, so no other server can be in the way. The server is a thread of this
    process and ends with it, even when the process is killed.

    Args:
        weights: the GGUF file.
        context: tokens that one sequence may take, prompt and answer together.
        slots: sequences worked on at once; each has ``context`` tokens of its own.
        threads: CPU threads.
        chat_template: in Jinja; the weights' own where None.

    Yields:
        The base URL, e.g. "http://127.0.0.1:41235".

    Raises:
        InputError: xllamacpp is missing, or llama.cpp cannot load the file.
    """
    try:
        import xllamacpp
    except ImportError:
        raise InputError("the embedded LM needs the package xllamacpp: pip install xllamacpp") from None

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    if chat_template is not None:
        params.chat_template = chat_template
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    # Flash attention rounds differently for every batch shape, and the shape depends on what the prompt cache held:
    # the same request then gets another text after other requests. Without it, texts depend on the request alone.
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.verbosity = -1  # silences llama.cpp's own log; a model that cannot be loaded still raises
    params.cache_ram_mib = 0  # no second prompt cache in main memory: the slot's own is what is reused
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise InputError(f"{weights}: llama.cpp cannot load this file as a GGUF model ({error})") from None
    _wait_until_healthy(server.listening_address)
    try:
        yield server.listening_address
    finally:
        del server  # stops the thread and frees the port


def _wait_until_healthy(base_url: str) -> None:
    """Returns when the server answers; loopback requests never go through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with opener.open(f"{base_url}/health", timeout=5):
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"the embedded LM at {base_url} does not answer after {START_SECONDS:.0f} s ({error})"
                ) from None
            time.sleep(0.05)
