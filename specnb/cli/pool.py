"""Batches in this process or in several, whose death costs one file at most."""

import os
import signal
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from specnb.cli.inputs import Source
from specnb.cli.work import Record, Settings, compute, entry

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that hold a process to one thread."""


def _start_worker() -> None:
    """Prepare a process: one thread, Ctrl-C is the parent's business, and it ends when the parent does."""
    from multiprocessing import connection, parent_process

    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _pool(workers: int) -> ProcessPoolExecutor:
    import multiprocessing

    for name in THREADS:
        os.environ[name] = "1"
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker)


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore Ctrl-C: a process that hears it while it imports prints a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Pool:
    """Processes that are replaced when one of them dies."""

    def __init__(self, settings: Settings, folder: Path | None, overwrite: bool):
        self.rest = settings, folder, overwrite
        self.pool: ProcessPoolExecutor | None = None

    def submit(self, batch: list[Source], workers: int) -> Future:
        """Hand a batch to a process."""
        if self.pool is not None:
            try:
                return self.pool.submit(compute, batch, *self.rest)
            except BrokenProcessPool:  # one died with nothing to do
                self.end()
        self.pool = _pool(workers)
        with _deaf():  # processes start here, and inherit it
            return self.pool.submit(compute, batch, *self.rest)

    def end(self) -> None:
        """End the processes now, whatever they do."""
        if self.pool is None:
            return
        processes = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
        self.pool = None


def run(
    batches: list[list[Source]],
    settings: Settings,
    folder: Path | None,
    workers: int = 1,
    overwrite: bool = False,
) -> Generator[Record, None, None]:
    """Compute batches, in this process or in several; records come as they are done.

    A process that dies (out of memory, a crash in a library) takes nothing with it: the files that were in hand are
    tried alone, and the one that ends its process again is said to fail.
    """
    if workers == 1:
        for batch in batches:
            yield compute(batch, settings, folder, overwrite)
        return
    waiting = list(reversed(batches))
    running: dict[Future, list[Source]] = {}
    pool = Pool(settings, folder, overwrite)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                batch = waiting.pop()
                running[pool.submit(batch, workers)] = batch
            suspects: list[Source] = []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                batch = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    suspects += batch
            if suspects:
                suspects += [source for batch in running.values() for source in batch]
                running.clear()
                pool.end()
                yield from _alone(pool, suspects, settings)
                pool.end()
    finally:
        pool.end()


def _alone(pool: Pool, suspects: list[Source], settings: Settings) -> Iterator[Record]:
    """Compute files one at a time, in a process that is not this one."""
    for source in suspects:
        try:
            yield pool.submit([source], 1).result()
        except BrokenProcessPool:
            pool.end()
            text = f"{source.name!r}: its process ended (out of memory, or a crash in a library)"
            yield {"files": [entry(source, settings, 0, {"": text})], "table": ""}
