import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from common.errors import InputError
from common.runs.lock import FolderLock

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import os, sys, time
from common.runs.lock import FolderLock
lock = FolderLock(sys.argv[1])
print('held', flush=True)
"""
FORK = """
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""


def holder(folder, then="sys.stdin.read()"):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD + then, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_with_the_first_ones_name(tmp_path):
    process = holder(tmp_path)
    place = f"process {process.pid} on {socket.gethostname()}"
    with pytest.raises(InputError, match=rf"output_dir: a run in {tmp_path} is going on \({place}\); one at a time"):
        FolderLock(tmp_path)
    process.communicate()
    FolderLock(tmp_path).release()


def test_a_killed_process_leaves_no_lock(tmp_path):
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / ".lock").exists()
    lock = FolderLock(tmp_path)
    assert (tmp_path / ".lock").read_text() == f"process {os.getpid()} on {socket.gethostname()}"
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_worker_that_outlives_a_killed_process_does_not_hold_its_lock(tmp_path):
    process = holder(tmp_path, FORK)
    worker = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.2)  # the worker leaves the lock as its first act
    FolderLock(tmp_path).release()
    os.kill(worker, signal.SIGKILL)
    process.communicate()


def test_a_released_lock_is_gone_and_can_be_taken_again(tmp_path):
    first = FolderLock(tmp_path)
    first.release()
    first.release()
    assert list(tmp_path.iterdir()) == []
    second = FolderLock(tmp_path)
    first.release()  # must not free what another holds
    with pytest.raises(InputError):
        FolderLock(tmp_path)
    second.release()


def test_of_many_at_once_one_gets_it(tmp_path):
    got, refused = [], []

    def take():
        try:
            got.append(FolderLock(tmp_path))
        except InputError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and len(refused) == 19
    got[0].release()


def test_a_file_system_without_locks_lets_runs_start_with_a_word(tmp_path, monkeypatch, caplog):
    def none(handle):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("common.runs.lock._lock", none)
    FolderLock(tmp_path).release()
    assert "no locks here" in caplog.text and list(tmp_path.iterdir()) == []
