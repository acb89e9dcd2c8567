"""Keeps the memory of a process that serves for months as small as what it needs."""

import ctypes
import gc

M_MMAP_THRESHOLD, BYTES = -3, 128 * 1024  # of glibc's malloc.h


def map_large_blocks() -> None:
    """Lets glibc give each block of 128 KB or more back to the system when it is freed; elsewhere does nothing.

    By default it soon keeps freed blocks of up to 32 MB for the thread that had them, and a server has many threads.
    """
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, BYTES)


def release_memory() -> None:
    """Frees what only reference cycles hold, and gives unused memory back to the system where glibc can do so."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
