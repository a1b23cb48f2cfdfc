"""The work on a batch of files: read, process, write or tabulate.

Everything that touches the readers and :mod:`specnb.observing` is here. A batch returns a record that JSON can hold:
``files``, one entry each with its key, the number of its rows and the reasons of what failed, and ``table``, the rows
as ECSV at full precision.
"""

import glob
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from specnb.cli.inputs import OURS, Source, short_hash, shown

if TYPE_CHECKING:
    from specutils import Spectrum

    from specnb.observing.native import Prepared
    from specnb.observing.products import Products

CHUNK = 32
"""Spectra that are processed together, and files that an interruption loses at most (a process)."""

MAKER = "MADEOF"
"""Card of a product that says which file, as it was then, and which settings it was made of."""

CLEAN = (ValueError, TypeError, RuntimeError, OSError)
"""What a spectrum raises that cannot be processed. Anything else is a fault of ours, and named as one."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What changes the numbers of a file: options, and the version of the package."""

    medium: str | None = None
    resolution: float | None = None
    snr: float | None = None
    seed: int = 0
    version: str = ""
    device: str = "cpu"

    def mark(self) -> str:
        """Return a short hash."""
        return short_hash(repr(self))

    def cards(self) -> dict[str, Any]:
        """Return what a table says of them, in names that FITS can hold."""
        said = {"SPECNB": self.version, "SEED": self.seed, "MEDIUM": self.medium}
        said |= {"RESOLUT": self.resolution, "SNR": self.snr, "DEVICE": self.device}
        said |= {"SETTINGS": self.mark()}
        return {name: value for name, value in said.items() if value is not None}


def made_of(source: Source, settings: Settings) -> str:
    """Identify a file as it is and the settings."""
    return f"{short_hash(source.key)}-{settings.mark()}"


def as_ascii(text: str) -> str:
    """Spell a text in the characters of FITS: χ² and ± in letters, the rest as in a URL (``unquote`` undoes it)."""
    plain = text.replace("χ²", "chi2").replace("±", "+-")
    if plain.isascii() and plain.isprintable():
        return plain
    kept = "".join(chr(c) for c in range(32, 127))
    return quote(plain.encode("utf-8", "surrogateescape"), safe=kept)


def reason(name: str, error: Exception) -> str:
    """Say what is wrong with a file, in the words of the shell."""
    text = str(error) or type(error).__name__
    text = re.sub(
        r"\b(medium|resolution|snr)='?([\w.]+)'?(?: or '(\w+)')?",
        lambda m: f"--{m[1]} {m[2]}" + (f" or --{m[1]} {m[3]}" if m[3] else ""),
        text,
    )
    if "has no uncertainty" in text:
        text = "the spectrum has no uncertainty; say --snr 50, its signal-to-noise"
    if not isinstance(error, CLEAN):
        text = f"{type(error).__name__}: {text} (a fault of specnb: please report it)"
    return text if repr(name) in text else f"{name!r}: {text}"


def _prepared(spectrum: "Spectrum", settings: Settings) -> "Prepared":
    """Bring a spectrum onto the native grid, with what the shell says of it."""
    from specnb.observing import arrays, native

    if settings.snr is not None and spectrum.uncertainty is None:
        arrays.add_errors(spectrum, settings.snr)
    prepared = native.prepare(spectrum, settings.medium, settings.resolution)
    prepared.meta["object"] = as_ascii(str(prepared.meta.get("object") or ""))
    return prepared


@dataclass
class _Item:
    """A spectrum on its way: its file, row (None if the file holds one) and what is made of it."""

    source: Source
    row: int | None
    prepared: "Prepared"


def _items(sources: list[Source], settings: Settings, failed: dict[str, dict]) -> Iterator[_Item]:
    """Read and prepare what can be; say why of the rest."""
    for source in sources:
        for spectrum in _each(source, failed):
            row = spectrum.meta.get("row")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    prepared = _prepared(spectrum, settings)
            except Exception as error:
                _fails(failed, source, row, error)
                continue
            yield _Item(source, row, prepared)


def _each(source: Source, failed: dict[str, dict]) -> "Iterator[Spectrum]":
    """Read the spectra of a file; one that breaks a reader stops no other file."""
    from specnb.observing import readers

    spectra = readers.read_each(source.path)
    while True:
        try:
            with warnings.catch_warnings():  # not while the caller has the spectrum
                warnings.simplefilter("ignore")
                spectrum = next(spectra, None)
        except Exception as error:
            failed[source.key][""] = reason(source.name, error)
            return
        if spectrum is None:
            return
        yield spectrum


def _fails(failed: dict[str, dict], source: Source, row: int | None, error: Exception) -> None:
    where = source.name if row is None else f"{source.name}, row {row}"
    failed[source.key]["" if row is None else str(row)] = reason(where, error)


def _process(items: list[_Item], settings: Settings) -> "list[Products]":
    from specnb.observing import native, products

    prepared, device = [item.prepared for item in items], settings.device
    return products.process(
        native.normalised(prepared, device=device), settings.seed, device=device
    )


def _made(
    items: list[_Item], settings: Settings, failed: dict[str, dict]
) -> "Iterator[tuple[_Item, Products]]":
    """Make products together; if one of them cannot be, one at a time."""
    try:
        yield from list(zip(items, _process(items, settings), strict=True))
        return
    except Exception:
        pass
    for item in items:
        try:
            (one,) = _process([item], settings)
        except Exception as error:
            _fails(failed, item.source, item.row, error)
            continue
        yield item, one


def entry(source: Source, settings: Settings, rows: int, failed: dict[str, str]) -> Record:
    """Return what a record says of a file; ``failed`` is row → reason, "" for the whole file."""
    said = {"key": source.key, "name": source.name, "target": source.target}
    return said | {"settings": settings.mark(), "rows": rows, "failed": failed}


def compute(
    sources: list[Source], settings: Settings, folder: Path | None, overwrite: bool = False
) -> Record:
    """Make the products of some files.

    Parameters
    ----------
    sources : list of Source
    settings : Settings
    folder : pathlib.Path or None
        Write a denoised spectrum each into it.
    overwrite : bool
        Whether products of other origin are replaced.

    Returns
    -------
    dict
        ``files`` and ``table``.
    """
    from astropy.table import vstack

    from specnb.observing import products

    failed: dict[str, dict[str, str]] = {source.key: {} for source in sources}
    rows = dict.fromkeys(failed, 0)
    tables: list[Any] = []

    def finish(items: list[_Item]) -> None:
        kept, made, outputs = [], [], []
        for item, one in _made(items, settings, failed):
            try:
                output = "" if folder is None else _write(one, item, settings, folder, overwrite)
            except Exception as error:
                _fails(failed, item.source, item.row, error)
                continue
            kept.append(item)
            made.append(one)
            outputs.append(output)
        if not made:
            return
        table = products.table([item.source.name for item in kept], made)
        table["row"] = [-1 if item.row is None else item.row for item in kept]
        if folder is not None:
            table["output"] = outputs
        for column in table.itercols():
            column.info.format = None  # full precision: it is rounded when all are there
        tables.append(table)
        for item in kept:
            rows[item.source.key] += 1

    waiting: list[_Item] = []
    for item in _items(sources, settings, failed):
        waiting.append(item)
        if len(waiting) == CHUNK:
            finish(waiting)
            waiting = []
    if waiting:
        finish(waiting)
    text = ""
    if tables:
        buffer = io.StringIO()
        vstack(tables, metadata_conflicts="silent").write(buffer, format="ascii.ecsv")
        text = buffer.getvalue()
    files = [entry(s, settings, rows[s.key], failed[s.key]) for s in sources]
    return {"files": files, "table": text}


def maker(path: Path) -> str | None:
    """Read what a product was made of; None if it is none of ours."""
    from astropy.io import fits

    try:
        return fits.getheader(path).get(MAKER)
    except (OSError, TypeError, ValueError):
        return None


def product(folder: Path, target: str, row: int | None = None) -> Path:
    """Return where a denoised spectrum goes."""
    return folder / f"{target}{'' if row is None else f'.row{row}'}{OURS}"


def _write(one: "Products", item: _Item, settings: Settings, folder: Path, overwrite: bool) -> str:
    """Write a denoised spectrum; return its path below the folder."""
    from specnb import storage
    from specnb.observing import products

    path, mark = product(folder, item.source.target, item.row), made_of(item.source, settings)
    if path.exists() and not overwrite and maker(path) != mark:
        raise ValueError(f"{str(path)!r} is there already; give --overwrite or another folder")
    hdus = products.to_fits(one, "spectrum.fits")
    header = hdus[0].header
    header["SOURCE"] = as_ascii(item.source.name)
    if item.row is not None:
        header["ROW"] = (item.row, "of the source, from 0")
    header[MAKER] = (mark, "source and settings")
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    storage.write_bytes(path, buffer.getvalue())
    return path.relative_to(folder).as_posix()


def rows_of(folder: Path, target: str) -> Iterator[Path]:
    """Find the denoised spectra of a file with many."""
    path = folder / target
    return path.parent.glob(f"{glob.escape(path.name)}.row*{OURS}")


def one(path: Path, settings: Settings) -> "Products":
    """Make the products of a file, of its first spectrum if it holds many; ValueError says what is wrong."""
    source = Source(path, shown(path), path.name, "")
    failed: dict[str, dict[str, str]] = {"": {}}
    for item in _items([source], settings, failed):
        for _, made in _made([item], settings, failed):
            return made
        break
    raise ValueError(next(iter(failed[""].values()), f"{source.name!r} holds no spectrum"))
