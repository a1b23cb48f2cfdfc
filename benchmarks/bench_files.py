"""Files in, table out: `specnb infer` on mock files, as a user runs it. SPECNB_BENCH_FILES="200 1000" sets how many."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

import specnb
from specnb.observing import survey_files

COUNTS = [int(n) for n in os.environ.get("SPECNB_BENCH_FILES", "32 96").split()]
WORKERS = 2


def memory(process):
    """Resident memory of a process and its children now, MB."""
    total, waiting = 0.0, [process]
    while waiting:
        pid = waiting.pop()
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        waiting += map(int, children)
    return total


def run(command, folder):
    """Seconds and peak memory in MB of a command."""
    start = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *command], cwd=folder, env=environment)
    peaks, over = [0.0], threading.Event()

    def watch():
        while not over.wait(0.2):
            peaks.append(memory(process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    status = process.wait()
    over.set()
    thread.join()
    assert status == 0
    return time.perf_counter() - start, max(peaks)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """As many files as the largest case needs, of 64 stars."""
    folder = tmp_path_factory.mktemp("files")
    stars, n = specnb.simulate(64, 5, snr=40), max(COUNTS)
    for i in range(n):
        name = folder / f"n{n}" / f"{i:05d}.fits"
        name.parent.mkdir(exist_ok=True)
        flux = stars.observed[i % 64] * (1000 + i)
        survey_files.lamost(str(name), flux, stars.ivar[i % 64] / (1000 + i) ** 2)
    return folder


def measure(files, command, label):
    peaks = {}
    names = sorted((files / f"n{max(COUNTS)}").iterdir())
    for n in COUNTS:
        chosen = files / "list.txt"
        chosen.write_text("\n".join(map(str, names[:n])))
        output = f"{label}{n}.ecsv"
        words = ["infer", "@list.txt", "-o", output, "--workers", str(WORKERS)]
        seconds, peaks[n] = run([*command, *words], files)
        assert len(Table.read(files / output)) == n
        print(
            f"\n{label}: {n} files in {seconds:.0f} s with {WORKERS} workers, {n / seconds:.2f} a second, "
            f"start included; {peaks[n]:.0f} MB at most, all processes; load {os.getloadavg()[0]:.1f} "
            f"on {len(os.sched_getaffinity(0))} cores"
        )
    return np.array([peaks[n] for n in COUNTS])


def test_files_a_second(files):
    """With the networks; the memory may not grow with the number of files."""
    peaks = measure(files, ["-m", "specnb.cli"], "infer")
    assert peaks[-1] < 1.15 * peaks[0]


def test_memory_of_the_bookkeeping(files):
    """With a stand-in for the networks: reading, journal and table of many files."""
    stand_in = Path(__file__).parents[1] / "tests" / "cli" / "fast.py"
    peaks = measure(files, [str(stand_in)], "stand-in")
    assert peaks[-1] < 1.15 * peaks[0]
