"""Real faults of the machine: a full and a read-only disk, where one may mount them, and a locked file."""

import errno
import random
from pathlib import Path

import pytest

from benchmarks.machine_faults import Called, Disk, Machine
from zero2ir.online.serving.service import FEEDBACK_FILE


def test_a_disk_is_full_and_read_only_for_a_while(tmp_path: Path) -> None:
    with (disk := Disk(tmp_path / "disk")) as mounted:
        if not mounted:
            pytest.skip("no right to mount")
        with disk.full(4096), pytest.raises(OSError, match="space") as full:
            (disk.folder / "file").write_bytes(bytes(100_000))
        with disk.read_only(), pytest.raises(OSError, match="Read-only") as read_only:
            (disk.folder / "other").write_bytes(b"a")
        (disk.folder / "file").write_bytes(bytes(100_000))
    assert (full.value.errno, read_only.value.errno) == (errno.ENOSPC, errno.EROFS)


@pytest.mark.parametrize(
    ("printed", "well", "right"),
    [
        ("saved", True, True),
        ("warning: a\nerror: program: the disk is full", False, True),
        ("Traceback (most recent call last):\nOSError: full\nerror: a", False, False),
        ("", False, False),
    ],
)
def test_a_call_may_fail_with_an_error_in_one_line_only(printed: str, well: bool, right: bool) -> None:
    assert (not Called(well, printed).wrong()) == right


def test_a_server_outlives_a_lock_on_its_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.disk.folder.mkdir()
    assert machine.locked_state(FEEDBACK_FILE, random.Random(0)) == (True, "")
