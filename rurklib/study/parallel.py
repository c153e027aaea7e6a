"""Independent tasks, several at a time: in processes of this machine, or on a Dask cluster.

A task is a function and its arguments, which can be pickled: a run, names, settings. It loads what
it needs and writes its files into the run's folder, which the workers of a cluster must see under
the same path. What is finished stays, whatever happens to a task.
"""

import contextlib
import io
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from rurklib.checks import InputError
from rurklib.study import extend
from rurklib.study.run import Run, needs

Task = tuple[Callable[..., Any], tuple]
PATIENCE = 10.0  # seconds for a scheduler to answer
BEAT = 30.0  # seconds between two lines of a log, also while no task ends
_one_at_a_time = threading.Lock()  # in a process: PyTorch's number of threads is global


def parallel(run: Run, tasks: Sequence[Task], text: str = "") -> list[Any]:
    """Results of the tasks in order, each computed on ``scenario.threads`` threads.

    ``run.jobs`` processes work on them, or the workers of the Dask cluster at ``run.scheduler``.
    The scenario fixes the number of threads, so that sums are taken in the same order wherever a
    study runs. ``text`` says in the progress what is counted. A task that raises ends the others;
    one whose worker dies is given to another worker of the cluster, and ends local processes.
    """
    jobs, threads = min(run.jobs, len(tasks)), run.scenario.threads
    if not tasks:
        return []
    with progress(len(tasks), text) as done:
        if jobs == 1 and run.scheduler is None:
            return [done(_work(threads, *task)) for task in tasks]
        with executor(jobs, run.scheduler, threads) as pool:
            plugins, pickled = list(extend.LOADED), map(pickle.dumps, tasks)
            futures = [pool.submit(_unpack, plugins, threads, task) for task in pickled]
            for future in as_completed(futures):
                done(future.result())
            return [future.result() for future in futures]


def _unpack(plugins: list[str], threads: int, task: bytes) -> Any:
    """A task may name what plugins define: they are loaded before it is read."""
    with _one_at_a_time:
        extend.load(plugins)
    return _work(threads, *pickle.loads(task))


def _work(threads: int, function: Callable[..., Any], arguments: tuple) -> Any:
    with _one_at_a_time:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return function(*arguments)
        finally:
            torch.set_num_threads(before)


@contextlib.contextmanager
def executor(jobs: int, scheduler: str | None, threads: int = 1) -> Iterator[Executor]:
    """What tasks are submitted to. Raises InputError if no scheduler answers, or if a process or
    too many workers die."""
    if scheduler is not None:
        needs("distributed", extra="study")
        from distributed import Client, KilledWorker

        try:
            client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--scheduler {scheduler}: no Dask scheduler answers: {error}"
            ) from None
        with client:
            try:
                yield client.get_executor(pure=False)
            except KilledWorker as error:
                raise InputError(f"--scheduler {scheduler}: workers died: {error}") from error
        return
    from joblib.externals.loky import get_reusable_executor

    pool = get_reusable_executor(jobs, env={"OMP_NUM_THREADS": str(threads)})
    try:
        yield pool
    except BrokenProcessPool as error:
        raise InputError(
            "a process was killed, perhaps for its memory: try fewer --jobs; what is finished stays"
        ) from error
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise


def say(text: str) -> None:
    """Print a line, above the bar if there is one."""
    from tqdm import tqdm

    tqdm.write(text)
    sys.stdout.flush()


@contextlib.contextmanager
def progress(total: int, text: str) -> Iterator[Callable[[Any], Any]]:
    """A function that is called with the result of each task, and hands it on.

    How many of how many and the time left: as a bar in a terminal, else as a line every thirty
    seconds, and one at the end. Without a ``text`` nothing is shown.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    # In a log the bar is drawn nowhere, and its text is printed in lines.
    file = None if terminal else io.StringIO()
    bar, ended = tqdm(total=total, desc=text, file=file, disable=not text), threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            print(bar, flush=True)

    def done(result: Any) -> Any:
        bar.update()
        return result

    if text and not terminal:
        threading.Thread(target=beat, daemon=True).start()
    try:
        yield done
    finally:
        ended.set()
        bar.close()
    if text:
        print(f"{text} in {bar.format_dict['elapsed']:.1f} s", flush=True)
