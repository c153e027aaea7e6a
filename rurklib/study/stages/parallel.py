"""Several models at a time: tasks in processes, each on a fixed number of threads."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from rurklib.study.brought import Carried
from rurklib.study.run import Run

SPARSE = 30.0  # seconds between two lines where there is no terminal


def parallel(
    run: Run, tasks: Sequence[tuple[Callable[..., Any], tuple]], stage: str = ""
) -> list[Any]:
    """Results of the tasks in order, ``run.jobs`` at a time, each on ``scenario.threads`` threads.

    The number of threads is fixed by the scenario, not by the machine, so that sums are taken in
    the same order wherever and however parallel a study runs. A result that is text is a line for
    the log, and gets its seconds, and the minutes left if there are any: on a terminal it is
    printed as soon as it is there; elsewhere, as in a notebook, one now and then, and at the end a
    line for all with what ``stage`` says was done. Of results that aren't text, it is said now and
    then how many there are.
    """
    began, spent, said = time.perf_counter(), 0.0, time.perf_counter()
    jobs = min(run.jobs, len(tasks))
    work = ((Carried(), run.scenario.threads, *task) for task in tasks)
    if jobs <= 1:
        stream = (_task(*item) for item in work)
    else:
        from joblib import Parallel, delayed

        stream = Parallel(n_jobs=jobs, return_as="generator")(delayed(_task)(*w) for w in work)
    results = []
    for result, took in stream:
        results.append(f"{result}: {took:.1f} s" if isinstance(result, str) else result)
        spent += took
        told = isinstance(result, str)
        if not (told or stage):
            continue
        done, todo, now = len(results), len(tasks) - len(results), time.perf_counter()
        minutes = spent / done * todo / jobs / 60  # what others are at counts as to be done
        left = f", about {minutes:.0f} min left" if minutes >= 1 else ""
        if (told and on_terminal()) or (todo and now - said >= SPARSE):
            print(f"{results[-1] if told else stage} ({done} of {len(tasks)}{left})", flush=True)
            said = now
    if stage and results and not on_terminal():
        print(f"{stage} in {time.perf_counter() - began:.1f} s", flush=True)
    return results


def on_terminal() -> bool:
    """Whether somebody watches: not in a notebook, nor where the output goes to a file."""
    return sys.stdout.isatty()


def _task(
    _: Carried, threads: int, function: Callable[..., Any], arguments: tuple
) -> tuple[Any, float]:
    """A task's result, and the seconds that it took."""
    began, before = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        result = function(*arguments)
    finally:
        torch.set_num_threads(before)
    return result, time.perf_counter() - began
