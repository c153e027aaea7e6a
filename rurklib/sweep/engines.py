"""Execute jobs on this machine with joblib, or on a Dask cluster; the jobs are the same.

An engine is a generator: it takes jobs and gives a record for each as it ends, in whatever order.
It survives its workers: a cell whose worker is killed again and again is given up, others go on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

from rurklib.check import InputError
from rurklib.sweep import cell
from rurklib.sweep.cell import Job, Record

STRIKES = 3  # workers that a cell may lose


def local(jobs: Sequence[Job], at_once: int) -> Iterator[Record]:
    """``at_once`` processes of this machine.

    A killed worker breaks joblib's pool, and all that was under way with it. Those cells are tried
    again one by one at the end, so that one that always kills its worker takes no other along.
    """
    left = {job.key: replace(job, driver=os.getpid()) for job in jobs}
    strikes: Counter[str] = Counter()
    while left:
        calm = [job for job in left.values() if not strikes[job.key]]
        batch = calm or list(left.values())[:1]
        try:
            for record in _pool(batch, at_once if calm else 1):
                left.pop(record["key"])
                yield record
        except BrokenProcessPool:
            out = Path(batch[0].out)
            lost = cell.under_way(out) & left.keys()
            strikes.update(lost or {batch[0].key})  # none: killed before it began, or after it
            clear(out)
            for key in [k for k in left if strikes[k] >= STRIKES]:
                yield _given_up(left.pop(key))


def _pool(jobs: Sequence[Job], at_once: int) -> Iterable[Record]:
    """At least two workers, of which ``at_once`` are given work: joblib runs one inside this
    process, where a cell could take the driver along."""
    from joblib import Parallel, delayed

    pool = Parallel(
        n_jobs=max(2, at_once),
        backend="loky",
        pre_dispatch=at_once,
        batch_size=1,
        return_as="generator_unordered",
    )
    return pool(delayed(cell.execute)(job) for job in jobs)


def clear(out: Path) -> None:
    """Sweep away the temporary folders of cells that nobody executes any more."""
    for folder in (out / cell.DONE).glob(".*"):
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
        raise InputError("--engine dask needs Dask: pip install 'rurklib[dask]'") from None
    try:
        return Client(scheduler, timeout=10, set_as_default=False)
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
        for future in as_completed(futures):
            job = futures[future]
            if future.status == "finished":
                yield future.result()
                continue
            error = future.exception()
            kept = cell.finished(Path(job.out), job.key)
            yield kept or cell.failure(job, type(error).__name__, str(error))
    finally:
        client.cancel(list(futures))
