"""Several models at a time: tasks in processes, each on a fixed number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from rurklib.run import Run


def parallel(run: Run, tasks: Sequence[tuple[Callable[..., Any], tuple]]) -> list[Any]:
    """Results of the tasks in order, ``run.jobs`` at a time, each on ``scenario.threads`` threads.

    The number of threads is fixed by the scenario, not by the machine, so that sums are taken in
    the same order wherever and however parallel a study runs. A result that is text is a line for
    the log and printed as soon as it is there.
    """
    jobs = min(run.jobs, len(tasks))
    work = ((run.scenario.threads, function, arguments) for function, arguments in tasks)
    if jobs <= 1:
        stream = (_task(*item) for item in work)
    else:
        from joblib import Parallel, delayed

        stream = Parallel(n_jobs=jobs, return_as="generator")(delayed(_task)(*w) for w in work)
    results = []
    for result in stream:
        if isinstance(result, str):
            print(result, flush=True)
        results.append(result)
    return results


def _task(threads: int, function: Callable[..., Any], arguments: tuple) -> Any:
    with _threads(threads):
        return function(*arguments)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
