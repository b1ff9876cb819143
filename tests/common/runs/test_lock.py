import os
import signal
import socket
import threading
import time

import pytest

from common.errors import InputError
from common.runs.lock import FolderLock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


def holder(folder, with_worker=False):
    """Fork a process that holds the lock until it is killed; returns its id and that of the process it forked."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        try:
            lock = FolderLock(folder)
            worker = os.fork() if with_worker else 0
            if worker or not with_worker:
                os.write(write, f"{worker}\n".encode())
            time.sleep(60)
            lock.release()
        finally:
            os._exit(1)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        return process, int(pipe.readline())


def kill(process):
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_a_second_process_is_refused_with_the_first_ones_name_and_a_killed_one_leaves_no_lock(tmp_path):
    process, _ = holder(tmp_path)
    place = f"process {process} on {socket.gethostname()}"
    with pytest.raises(InputError, match=rf"output_dir: a run in {tmp_path} is going on \({place}\); one at a time"):
        FolderLock(tmp_path)
    kill(process)
    assert (tmp_path / ".lock").read_text(encoding="utf-8") == place
    lock = FolderLock(tmp_path)
    assert (tmp_path / ".lock").read_text(encoding="utf-8") == f"process {os.getpid()} on {socket.gethostname()}"
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_outlives_a_killed_process_does_not_hold_its_lock(tmp_path):
    process, worker = holder(tmp_path, with_worker=True)
    kill(process)
    time.sleep(0.2)  # the worker leaves the lock as its first act
    FolderLock(tmp_path).release()
    os.kill(worker, signal.SIGKILL)


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
