"""One run over many cores: those that are not read yet are tasks of Dask, and each answer is kept as it arrives."""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from direct.fleet.dataset import Dataset
from direct.fleet.fetch import Found, package
from direct.fleet.read import STEPS, stamp
from direct.fleet.work import not_read, read_core, version
from gomap import __version__
from gomap.errors import GomapError
from gomap.human import one_line
from gomap.progress import Progress
from gomap.results.fields import fields_of
from gomap.results.fleet import COLUMNS, CoreOfFleet

#: Tasks that the scheduler has at once, for each thread of a worker.
AHEAD = 8
#: How often a core is tried whose worker or server is killed.
TRIES = 3
#: Seconds until an existing scheduler has to answer, and until its workers have to.
PATIENCE = 15
#: Where the scheduler and workers of a run listen that has no other scheduler.
HERE = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """What is asked for. memory: bytes, time: seconds that the process of one core may take."""

    programs: Sequence[str]
    workers: int
    scheduler: str | None
    memory: int
    time: float
    maps: int
    with_keys: bool


@dataclass
class Done:
    """What a run has done. kept: cores that were read by an earlier run. writing: the core whose answer is written
    now."""

    read: int = 0
    kept: int = 0
    seconds: float = 0.0
    workers: int = 0
    writing: Found | None = None


def todo(plan: Plan, dataset: Dataset, cores: Sequence[Found]) -> tuple[list[Found], int]:
    """(the cores to read, how many are known). A core is read again that has changed, that failed, or that other
    options were given for."""
    left = []
    for one in cores:
        known = dataset.known(one.core)
        if known is None or known["core"]["state"] == "failed" or known["asked"] != _mark(plan, one, known):
            left.append(one)
    return left, len(cores) - len(left)


def _mark(plan: Plan, one: Found, answer: dict[str, Any]) -> list[Any]:
    """What the answer depends on. The limits count where they were reached, and the directories of programs where
    another file of the program may have more."""
    limits = [plan.memory, plan.time] if answer["core"]["state"] != "read" else []
    programs = list(plan.programs) if answer.get("wanting") else []
    return [__version__, COLUMNS, one.version, plan.maps, plan.with_keys, *limits, *programs]


def read_all(plan: Plan, dataset: Dataset, cores: Sequence[Found], done: Done, progress: Progress) -> None:
    """Reads the cores. Each answer is written as soon as it is there. Raises GomapError, KeyboardInterrupt."""
    distributed = package("distributed", "gomap triage")
    waiting = iter(cores)
    with _client(distributed, plan) as client:
        threads = max(sum(client.nthreads().values()), 1)
        done.workers = threads
        ready = queue.SimpleQueue[Any]()
        asked: dict[str, Found] = {}

        def submit() -> None:
            one = next(waiting, None)
            if one is None:
                return
            job = {
                "core": one.core, "programs": list(plan.programs), "memory": plan.memory, "time": plan.time,
                "maps": plan.maps, "with_keys": plan.with_keys,
            }  # fmt: skip
            future = client.submit(read_core, job, pure=False, retries=TRIES)
            asked[future.key] = one
            future.add_done_callback(ready.put)

        for _ in range(AHEAD * threads):
            submit()
        while asked:
            future = _next(ready, client)
            one = asked.pop(future.key)
            answer = _answered(future)
            _complete(plan, one, answer)
            done.writing = one
            dataset.keep(one.core, answer)
            done.read, done.writing = done.read + 1, None
            progress("cores", done.read, len(cores))
            future.release()
            submit()


def _next(ready: queue.SimpleQueue[Any], client: Any) -> Any:
    """Waits for the next task that is done. Raises GomapError if no worker is left."""
    without = 0
    while True:
        try:
            return ready.get(timeout=PATIENCE)
        except queue.Empty:
            pass
        with contextlib.suppress(Exception):  # of a scheduler that is gone, which cancels the tasks
            without = 0 if client.nthreads() else without + 1
        if without > 1:
            raise GomapError("the Dask scheduler has no workers any more: start some and run this again to go on")


def _answered(future: Any) -> dict[str, Any]:
    """The answer of a task; that of a core that Dask has given up has an error. Raises GomapError without a
    scheduler."""
    if future.status == "finished":
        answer: dict[str, Any] = future.result()
        return answer
    if future.status != "error":
        raise GomapError("the Dask scheduler is gone: start it and run this again to go on")
    error = future.exception()
    why = "each worker that read it was killed" if type(error).__name__ == "KilledWorker" else str(error)
    return not_read(one_line(why))


def _complete(plan: Plan, one: Found, answer: dict[str, Any]) -> None:
    """Adds to an answer what is known here."""
    errors, core, done = _together(answer.pop("errors")), answer["core"], answer.pop("done")
    state = "read" if not errors else "partly" if done else "failed"
    not_done = ", ".join(step for step in STEPS if step not in done)
    missing = [core.get("missing"), f"what the tables {not_done} have" if not_done else None]
    row = dict.fromkeys(each.name for each in fields_of(CoreOfFleet))
    row.update(
        core, core=one.core, size=one.size, taken=None if one.taken is None else stamp(one.taken), state=state,
        error="; ".join(errors) or None, missing="; ".join(filter(None, missing)) or None, sent=bool(core.get("sent")),
    )  # fmt: skip
    answer["core"] = row
    answer["asked"] = _mark(plan, one, answer)


def _together(errors: Sequence[tuple[str, str]]) -> list[str]:
    """The errors, each once, with the steps that had it, where some steps did not."""
    steps: dict[str, list[str]] = {}
    for step, why in errors:
        steps.setdefault(why, []).append(step)
    return [f"{', '.join(each)}: {why}" if set(each) < set(STEPS) else why for why, each in steps.items()]


@contextlib.contextmanager
def _client(distributed: Any, plan: Plan) -> Iterator[Any]:
    """A client of the scheduler that was named, or of one here. Raises GomapError."""
    dask: Any = package("dask", "gomap triage")
    settings = {"distributed.scheduler.allowed-failures": TRIES, "distributed.comm.timeouts.connect": f"{PATIENCE}s"}
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what happens is told as an error or a row
    try:
        named = plan.scheduler
        chosen = _own(distributed, plan.workers) if named is None else _connected(distributed, named)
        with dask.config.set(settings), chosen as client:
            yield client
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _own(distributed: Any, workers: int) -> Iterator[Any]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's, not the workers' that inherit this
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=HERE,
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False, "dashboard_address": f"{HERE}:0"},  # any port that is free
            memory_limit=0,
            silence_logs=50,
            preload=[read_core.__module__],
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise GomapError(f"Dask can't start workers: {one_line(str(error))}") from error
    finally:
        signal.signal(signal.SIGINT, before)
    with cluster, distributed.Client(cluster) as client:
        yield client


@contextlib.contextmanager
def _connected(distributed: Any, address: str) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=PATIENCE)
    except (OSError, TimeoutError, ValueError) as error:
        raise GomapError(f"no Dask scheduler answers at {address}: {one_line(str(error))}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise GomapError(f"the scheduler at {address} has no workers") from error
        try:
            other = client.submit(version, pure=False).result(timeout=PATIENCE)
        except Exception as error:  # the worker's, of any kind
            raise GomapError(f"the workers of {address} can't run gomap: {one_line(str(error))}: {_INSTALL}") from error
        if other != __version__:
            raise GomapError(f"the workers of {address} have gomap {other}, and this is {__version__}: {_INSTALL}")
        yield client


_INSTALL = "install the same gomap[fleet] for them"
