"""Execute jobs on this machine with joblib, or on a Dask cluster; the jobs are the same.

An engine is a generator: it takes jobs and gives a record for each as it ends, in whatever order.
It survives its workers: a cell whose worker is killed again and again is given up, others go on.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study.sweep import cell, watch
from rurklib.study.sweep.cell import Job, Record

STRIKES = 3  # workers that a cell may lose


PATIENCE = 10.0  # seconds for a scheduler to answer


def local(jobs: Sequence[Job], at_once: int) -> Iterator[Record]:
    """``at_once`` worker processes of this machine, each a pool of its own (joblib's loky): a pool
    breaks when its worker is killed, and would take the others' cells along."""
    waiting, strikes = deque(jobs), Counter[str]()
    idle = [_worker() for _ in range(min(at_once, len(jobs)))]
    running: dict[Future, tuple[Any, Job]] = {}
    try:
        while waiting or running:
            while waiting and idle:
                pool = idle.pop()
                try:
                    future = pool.submit(cell.execute, waiting[0])
                except BrokenProcessPool:  # killed while it was idle
                    idle.append(_again(pool))
                    continue
                running[future] = pool, waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                pool, job = running.pop(future)
                record = None
                try:
                    record = future.result()
                    idle.append(pool)
                except BrokenProcessPool:
                    idle.append(_again(pool))
                    clear(Path(job.out), job.key)
                    strikes[job.key] += 1
                    if strikes[job.key] < STRIKES:
                        waiting.append(job)
                        continue
                yield record or _given_up(job)
    finally:
        for pool in [*idle, *(pool for pool, _ in running.values())]:
            pool.shutdown(kill_workers=True)


def _worker() -> Any:
    """A pool of one process, which ends when this one does."""
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(1, initializer=watch.end_with, initargs=(os.getpid(),))


def _again(pool: Any) -> Any:
    pool.shutdown(kill_workers=True)
    return _worker()


def clear(out: Path, key: str = "") -> None:
    """Sweep away the temporary folders of a cell, or of all, that nobody executes any more."""
    for folder in (out / cell.DONE).glob(f".{key}*"):
        cell.sweep_away(folder)


def _given_up(job: Job) -> Record:
    """What is finished stays finished, even if its worker couldn't say so."""
    return cell.finished(Path(job.out), job.key) or cell.failure(
        job, "WorkerKilled", f"{STRIKES} workers were killed over it, perhaps for their memory"
    )


def connected(scheduler: str | None) -> Any:
    """A client of a Dask scheduler. Raises InputError if there is none."""
    if scheduler is None:
        raise InputError("--engine dask: expected --scheduler tcp://HOST:PORT too")
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise InputError(
            '--engine dask needs Dask: pip install -e ".[dask]" in the clone of rurklib'
        ) from None
    try:
        return Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers ({error})") from None


def on_dask(jobs: Sequence[Job], client: Any) -> Iterator[Record]:
    """The workers of a cluster, which must see the folder under the same path.

    Dask tries a cell elsewhere if its worker is killed. If this driver is killed, the scheduler
    drops what it hasn't begun.
    """
    from distributed import as_completed

    futures = {client.submit(cell.execute, job, pure=False): job for job in jobs}
    try:
        for future in as_completed(futures, loop=client.loop):
            job = futures[future]
            if future.status == "finished":
                yield future.result()
                continue
            error = future.exception()
            kept = cell.finished(Path(job.out), job.key)
            yield kept or cell.failure(job, type(error).__name__, str(error))
    finally:
        client.cancel(list(futures))
