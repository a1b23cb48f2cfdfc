"""Mutate files of every layout that survey_files writes, and see what reading them does: ``make fuzz``.

A case is a number: the same number, the same mutation. Cases run in a process of their own with 2 GB of memory and
10 s each. A case is clean if readers and ``native.prepare`` (and, of one case in 200, the normalisation) return finite
numbers or raise what the commands turn into a sentence. Found are: another exception, a hang, a dead process, more
memory, anything unpickled, a file written or a process started, numbers that are not finite.

    python tools/fuzz.py --minutes 10 --seed 0 -o build/fuzz.json
"""

import argparse
import gzip
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
from astropy.io import fits

CLEAN = (ValueError, TypeError, RuntimeError)
"""What the commands turn into a sentence; OSError, too, but no file here is unreadable."""

SECONDS, MEMORY, ONE_IN = 10, 2 * 2**30, 200

VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, -1e30, 1e-40, 3.4e38, 1e5)

NAMES = ("../../x", "/etc/x", "a\\b", "x" * 68, "$(touch gone)", "'; --", "%s%n", "")

CARDS = (
    *("NAXIS", "NAXIS1", "NAXIS2", "BITPIX", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP", "EXTNAME"),
    *("XTENSION", "TFORM1", "TFORM2", "TFORM3", "TTYPE1", "TTYPE2", "TDIM1", "TSCAL1", "TZERO1"),
    *(
        "TNULL1",
        "TUNIT1",
        "TUCD1",
        "BSCALE",
        "BZERO",
        "BLANK",
        "BUNIT",
        "CRVAL1",
        "CD1_1",
        "CDELT1",
    ),
    *("CRPIX1", "CTYPE1", "CUNIT1", "COEFF0", "COEFF1", "TELESCOP", "VACUUM", "AWAV", "SPEC_RES"),
    *("OBJECT", "DESIG", "HELIO", "WCSDIM", "DC-FLAG", "SIMPLE", "EXTEND", "SPECSYS", "ZBLANK"),
)

CONTENT = (
    *("0", "-1", "1", "2", "8", "-32", "-64", "999", "2147483647", "99999999999999999999", "1E400"),
    *(
        "NaN",
        "T",
        "F",
        "'1PE(9999999)'",
        "'QD'",
        "'3909E'",
        "'0E'",
        "'99999999999E'",
        "'A'",
        "'16X'",
    ),
    *("'(1,3909)'", "'(99999,99999)'", "'LAMOST'", "'COADD'", "'flux'", "'IVAR'", "'erg/s/zz'"),
    *("'WAVE-LOG'", "'AWAV'", "'VRAD'", "'BINTABLE'", "'IMAGE'", "'TABLE'", "'Angstrom'", "'Jy'"),
    *(repr(name) for name in NAMES[:5]),
)


def layouts(folder):
    """Write a star in every layout: name → bytes."""
    from specnb import simulate
    from specnb.grid import N_PIXELS
    from specnb.observing import survey_files as files

    star, log, folder = simulate(1, 3, snr=30), files.LAMOST, Path(folder)
    flux, ivar, wave = star.observed[0], star.ivar[0], 10**log
    whole, weight = np.ones((2, 1, len(wave)))
    inside = slice(files.FIRST, files.FIRST + N_PIXELS)
    whole[0, inside], weight[0, inside] = flux, ivar
    one, error = whole[0], np.full(len(wave), 0.02)
    linear = {"CTYPE1": "WAVE", "CUNIT1": "Angstrom", "CRVAL1": 3900.0, "CDELT1": 1.0}
    arms = {"B": (wave[:2000], whole[:, :2000], weight[:, :2000])}
    arms["R"] = wave[1900:], whole[:, 1900:], weight[:, 1900:]
    two, heavy = np.concatenate([whole, whole]), np.concatenate([weight, weight])
    written = {
        "lamost": files.lamost(folder / "lamost.fits", flux, ivar),
        "lamost-rows": files.lamost(folder / "lamost-rows.fits", flux, ivar, rows=True),
        "lamost-pilot": files.lamost_pilot(folder / "lamost-pilot.fits", one, weight[0]),
        "spspec": files.spspec(folder / "spspec.fits", one, weight[0], log),
        "sdss": files.sdss(folder / "sdss.fits", one, weight[0], log),
        "mwm": files.mwm(folder / "mwm.fits", whole, weight, wave),
        "mastar": files.mastar(folder / "mastar.fits", two, heavy, wave),
        "desi": files.desi(folder / "desi.fits", arms),
        "eso": files.eso(folder / "eso.fits", one, error, wave / 10),
        "image": files.image(folder / "image.fits", one, linear, error),
    }
    return {name: Path(path).read_bytes() for name, path in written.items()}


def _bytes(content, rng):
    """Change some bytes, half of the time in headers."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 13)):
        end = min(11520, len(data)) if rng.random() < 0.5 else len(data)
        data[rng.integers(end)] = rng.integers(256)
    return bytes(data)


def _cut(content, rng):
    return content[: rng.integers(len(content))]


def _blocks(content, rng):
    """Leave out, repeat or exchange blocks of 2880 bytes."""
    blocks = [content[i : i + 2880] for i in range(0, len(content), 2880)]
    i, j = rng.integers(len(blocks), size=2)
    kind = rng.integers(3)
    if kind == 0:
        del blocks[i]
    elif kind == 1:
        blocks.insert(j, blocks[i])
    else:
        blocks[i], blocks[j] = blocks[j], blocks[i]
    return b"".join(blocks)


def _cards(content, rng):
    """Replace cards as text, so that nothing mends them; what is not there takes another one's place."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        name = CARDS[rng.integers(len(CARDS))]
        value = CONTENT[rng.integers(len(CONTENT))]
        places = [
            i for i in range(0, len(data) - 79, 80) if data[i : i + 8] == name.ljust(8).encode()
        ]
        place = places[rng.integers(len(places))] if places else 80 * rng.integers(1, 30)
        data[place : place + 80] = f"{name:8}= {value:>20}".ljust(80)[:80].encode()
    return bytes(data)


def _numbers(content, rng):
    """Put values that are no flux, error or wavelength over a run of pixels, of any width and byte order."""
    data = bytearray(content)
    value = VALUES[rng.integers(len(VALUES))]
    word = np.array([value], (">f4", ">f8", "<f4", ">i2")[rng.integers(3)]).tobytes()
    count = (1, 3, 100, 4000)[rng.integers(4)]
    start = int(2880 + 4 * rng.integers((len(data) - 2880) // 4))
    end = min(start + count * len(word), len(data))
    data[start:end] = (word * count)[: end - start]
    return bytes(data)


def _shapes(content, rng):
    """Rebuild a table or an image with other columns, rows or shapes."""
    from io import BytesIO

    buffer = BytesIO()
    with fits.open(BytesIO(content)) as hdus:
        hdu = hdus[rng.integers(len(hdus))]
        if isinstance(hdu, fits.BinTableHDU):
            columns, kind = list(hdu.columns), rng.integers(4)
            if kind == 0 and len(columns) > 1:
                del columns[rng.integers(len(columns))]
            rows = (0, 1, 2, 7)[rng.integers(4)] if kind == 1 else len(hdu.data)
            if kind == 2:
                columns[0].name = NAMES[rng.integers(len(NAMES))] or "x"
            new = fits.BinTableHDU.from_columns(columns, header=hdu.header, nrows=rows)
            hdus[hdus.index(hdu)] = new
        elif hdu.data is not None:
            data = np.asarray(hdu.data)
            shapes = [data[..., :0], data[None], data.ravel(), data[..., :1], np.stack([data] * 3)]
            hdu.data = shapes[rng.integers(len(shapes))]
        hdus[0].header["OBJECT"] = NAMES[rng.integers(len(NAMES))]
        hdus.writeto(buffer, output_verify="ignore")
    return buffer.getvalue()


MUTATIONS = {f.__name__.lstrip("_"): f for f in (_bytes, _cut, _blocks, _cards, _numbers, _shapes)}


def mutated(originals, case):
    """Make a mutation: layout, kind, content, whether it is packed with gzip."""
    rng = np.random.default_rng(case)
    layout, kind = sorted(originals)[rng.integers(len(originals))], [*MUTATIONS][rng.integers(6)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            content = MUTATIONS[kind](originals[layout], rng)
        except Exception:  # fits itself cannot write it
            kind, content = "bytes", _bytes(originals[layout], rng)
    packed = rng.random() < 0.05
    if packed:
        content = gzip.compress(content, 1)
        content = _bytes(content, rng) if rng.random() < 0.5 else content
    return layout, kind, content, packed


class Hang(BaseException):
    """A case took too long."""


def _hang(*_):
    raise Hang


class Watch:
    """What a case did beside returning: an audit hook, which nothing can take out again."""

    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    FORBIDDEN = (
        "pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.remove",
        "os.rename", "os.mkdir", "socket.connect", "shutil.rmtree",
    )  # fmt: skip

    def __init__(self, folder):
        self.folder, self.seen, self.on = str(folder), [], False
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.on:
            return
        if event == "open":
            path, _, flags = arguments
            inside = str(path).startswith((self.folder, "/dev/null"))
            if isinstance(flags, int) and flags & self.WRITES and not inside:
                self.seen.append(f"opens {path!r} to write")
        elif (
            event in self.FORBIDDEN and arguments[0] != "uname"
        ):  # that is Python's own ``platform``
            self.seen.append(f"{event} {arguments[:2]!r}")


def examine(path, case):
    """Read a file as the commands do; returns "read" or "refused", raises what is not clean."""
    from astropy.nddata import StdDevUncertainty

    from specnb.observing import native, readers

    try:
        for spectrum in islice(readers.read_each(path), 3):
            if spectrum.uncertainty is None:
                spectrum.uncertainty = StdDevUncertainty(np.ones(spectrum.flux.shape))
            prepared = native.prepare(spectrum, "vacuum", 1800)
            if not np.isfinite(prepared.flux).all() or not np.isfinite(prepared.ivar).all():
                raise AssertionError("numbers that are not finite")
            if case % ONE_IN == 0:
                (one,) = native.normalised([prepared])
                if not np.isfinite(one.flux).all() or not np.isfinite(one.ivar).all():
                    raise AssertionError("normalised numbers that are not finite")
    except CLEAN:
        return "refused"
    return "read"


def where(error):
    """Name the last line of ours, and the last line, of a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "specnb" in Path(f.filename).parts]
    chosen = [*ours[-1:], *frames[-1:]]
    return " < ".join(f"{Path(f.filename).name}:{f.name}" for f in reversed(chosen))


def work(originals, folder, first, end, pipe):
    """Run cases from the first on: sends (case, layout, kind, outcome, found) each, after the bare case before."""
    from specnb.observing import native, readers  # noqa: F401

    signal.signal(signal.SIGALRM, _hang)
    watch = Watch(folder)
    warnings.simplefilter("ignore")
    limit_set = False
    case = first
    while time.monotonic() < end:
        pipe.send(case)
        layout, kind, content, packed = mutated(originals, case)
        path = Path(folder) / f"case{'.fits.gz' if packed else '.fits'}"
        path.write_bytes(content)
        if not limit_set:
            examine_first(originals, folder)
            soft = _data_in_use() + MEMORY
            resource.setrlimit(resource.RLIMIT_DATA, (soft, soft))
            limit_set = True
        found, outcome, watch.seen, watch.on = [], "found", [], True
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            outcome = examine(path, case)
        except Hang as error:
            found.append(f"hang in {where(error)}")
        except BaseException as error:
            found.append(f"{type(error).__name__} in {where(error)}: {str(error)[:120]}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            watch.on = False
        found += watch.seen
        pipe.send((case, layout, kind, "found" if found else outcome, found))
        case += 1
    pipe.send(None)


def examine_first(originals, folder):
    """Read the originals once, so that imports are no part of a case."""
    for name, content in originals.items():
        path = Path(folder) / f"{name}.fits"
        path.write_bytes(content)
        examine(path, 0)


def _data_in_use():
    """Return the bytes that RLIMIT_DATA counts."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData"):
            return int(line.split()[1]) * 1024
    return 2**30


def fuzz(seconds, seed=0, cases=None, say=print):
    """Run cases for some seconds.

    Parameters
    ----------
    seconds : float
    seed : int
        The first case.
    cases : int, optional
        At most so many.
    say : callable
        Takes a line of what was found.

    Returns
    -------
    dict
        ``cases``, ``outcomes``, ``by_kind``, ``by_layout``, and ``found``: sentence → number of cases and the first.
    """
    context = multiprocessing.get_context("spawn")
    outcomes, by_kind, by_layout, found = Counter(), Counter(), Counter(), {}
    end, case, total = time.monotonic() + seconds, seed, 0

    def note(texts, number):
        for text in texts:
            if text not in found:
                say(f"case {number}: {text}")
                found[text] = {"cases": 0, "first": number}
            found[text]["cases"] += 1

    with tempfile.TemporaryDirectory() as folder:
        originals = layouts(folder)
        while time.monotonic() < end and (cases is None or total < cases):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(originals, folder, case, end, theirs))
            process.start()
            theirs.close()
            patience = 300.0  # the first case imports and reads the originals
            try:
                while cases is None or total < cases:
                    if not ours.poll(patience):
                        raise TimeoutError
                    told = ours.recv()
                    if told is None:
                        break
                    if isinstance(told, int):
                        case = told
                        continue
                    patience = 3.0 * SECONDS
                    case, layout, kind, outcome, texts = told
                    total += 1
                    outcomes[outcome] += 1
                    by_kind[kind] += 1
                    by_layout[layout] += 1
                    note(texts, case)
                    case += 1
            except (EOFError, TimeoutError) as error:
                total += 1
                outcomes["found"] += 1
                kind = (
                    "hang that no signal ends"
                    if isinstance(error, TimeoutError)
                    else "dead process"
                )
                note([f"{kind} ({mutated(originals, case)[:2]})"], case)
                case += 1
            process.kill()
            process.join()
    out = {"cases": total, "outcomes": dict(outcomes), "by_kind": dict(by_kind)}
    return out | {"by_layout": dict(by_layout), "found": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="the first case")
    parser.add_argument("-o", type=Path, default=Path("build/fuzz.json"))
    chosen = parser.parse_args()
    counts = fuzz(60 * chosen.minutes, chosen.seed)
    chosen.o.parent.mkdir(parents=True, exist_ok=True)
    chosen.o.write_text(json.dumps(counts, indent=1) + "\n")
    print(json.dumps({k: v for k, v in counts.items() if k != "found"}))
    print(f"{len(counts['found'])} kinds of fault, in {chosen.o}")
    sys.exit(bool(counts["found"]))


if __name__ == "__main__":
    main()
