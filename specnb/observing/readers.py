"""Spectra from files, as ``specutils.Spectrum``: surveys' layouts, tables, images and text, and what specutils reads.

:func:`read` returns the spectrum of a file, :func:`read_all` all that a file has. What a file says of its medium, frame
and resolution is carried in ``meta``: ``medium`` ("air" or "vacuum"), ``frame``, ``resolution``, ``survey``,
``object``, ``header``; ``row`` where a file has many; ``resolving_power`` of every pixel where it is given; ``notes``
on what was done or taken for granted. What a file does not say is not there, and not guessed.

Importing this module registers the layouts with specutils, so that ``Spectrum.read(path)`` and
``SpectrumList.read(path)`` work on them, too. The order of trying: the surveys, what specutils knows by the
instrument's name, then tables and images in general.
"""

import gzip
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.io import registry as io_registry
from specutils import Spectrum, SpectrumList
from specutils.io.registers import data_loader

from specnb.observing import assemble, endings
from specnb.observing.assemble import inverse_variance as inverse_variance
from specnb.observing.bosz import BoszSet as BoszSet
from specnb.observing.layouts import UNKNOWN, Layout
from specnb.observing.layouts_desi import Desi
from specnb.observing.layouts_general import Image, Table
from specnb.observing.layouts_lamost import LamostImage, LamostMedium, LamostTable
from specnb.observing.layouts_sdss import Mwm, SdssImage, SdssTable
from specnb.observing.layouts_text import read_text

SURVEYS: tuple[Layout, ...] = (
    LamostMedium(),
    LamostImage(),
    LamostTable(),
    SdssImage(),
    SdssTable(),
    Mwm(),
    Desi(),
)
"""Layouts that are known by name, in the order in which they are tried."""

GENERAL: tuple[Layout, ...] = (Table(), Image())
"""Layouts in general, tried last."""

VAGUE = {"tabular-fits", "wcs1d-fits", "iraf", "ASCII", "IPAC", "ECSV"} | {"JWST x1d MIRI MRS"}
"""specutils' readers that know no instrument, or that take any list of HDUs for theirs."""

BROKEN = (OSError, EOFError, zlib.error, UserWarning)
"""What is raised at a file that is cut or garbled."""


WILD = re.compile(rb"(?:NAXIS  |TFIELDS) *= +\d{4,}|(?:NAXIS\d*|[PG]COUNT) *= +-\d+|SIMPLE *= *F\b")
"""Cards that no file of the standard has: more than 999 axes or columns, negative counts, a file that disowns it."""

BLOCK = 2**10 * 2880
"""Bytes that are looked through together: whole blocks of FITS."""


@contextmanager
def _open(path: Any) -> Iterator[fits.HDUList]:
    if isinstance(path, fits.HDUList):
        yield path
    elif isinstance(path, str | Path):
        # opened here, because astropy leaves a broken file open
        with Path(path).open("rb") as file, fits.open(file, memmap=False) as hdus:
            yield hdus
    else:  # specutils hands over what it has opened
        with fits.open(path, memmap=False) as hdus:
            yield hdus


def _layout(hdus: fits.HDUList) -> Layout | str:
    """Return the layout of a file, or the label of specutils' reader that knows it."""
    for layout in SURVEYS:
        if layout.recognises(hdus):
            return layout
    ours = {layout.label for layout in (*SURVEYS, *GENERAL)}
    for kind in (Spectrum, SpectrumList):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labels = io_registry.identify_format("read", kind, None, None, (hdus,), {})
        if named := sorted(set(labels) - VAGUE - ours):
            return named[0]
    for layout in GENERAL:
        if layout.recognises(hdus):
            return layout
    raise ValueError(f"{UNKNOWN} (it holds {_holds(hdus)})")


def _holds(hdus: fits.HDUList) -> str:
    """Say what is in a file, for those who wonder why it is not read."""
    parts = [
        f"{hdu.name or 'an HDU'} {hdu.header.get('XTENSION', 'image').lower()}" for hdu in hdus
    ]
    return ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")


def _by_specutils(path: Path, label: str) -> list[Spectrum]:
    """Read a file by specutils' reader for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = SpectrumList.read(str(path), format=label)
    return _flat(found)


def _flat(spectra: Spectrum | Sequence[Spectrum]) -> list[Spectrum]:
    """Return spectra of one dimension in this package's form."""
    out = []
    for spectrum in [spectra] if isinstance(spectra, Spectrum) else list(spectra):
        if not isinstance(spectrum, Spectrum):
            raise TypeError(f"a {type(spectrum).__name__} is no specutils Spectrum")
        out += [assemble.tidy(row) for row in _rows(spectrum)]
    return out


def _rows(spectrum: Spectrum) -> list[Spectrum]:
    """Take a spectrum of many rows of flux apart."""
    if spectrum.flux.ndim == 1:
        return [spectrum]

    def flat(values: Any) -> np.ndarray:
        array = np.moveaxis(np.asarray(values), spectrum.spectral_axis_index, -1)
        return array.reshape(-1, array.shape[-1])

    flux, errors = flat(spectrum.flux.value), spectrum.uncertainty
    masks = None if spectrum.mask is None else flat(spectrum.mask)
    sigmas = None if errors is None else flat(errors.array)
    out = []
    for i, row in enumerate(flux):
        one = None if sigmas is None else type(errors)(sigmas[i], unit=errors.unit)
        mask = None if masks is None else masks[i]
        axis = u.Quantity(spectrum.spectral_axis)
        values = row * spectrum.flux.unit
        meta = dict(spectrum.meta)
        out.append(Spectrum(flux=values, spectral_axis=axis, uncertainty=one, mask=mask, meta=meta))
    return out


def _spectra(hdus: fits.HDUList, layout: Layout, name: str) -> Iterator[Spectrum]:
    """Yield the spectra of an open file, with a row and a name where there are many."""
    n = layout.count(hdus)
    for row, spectrum in enumerate(layout.spectra(hdus)):
        yield _numbered(spectrum, row, n, name)


def _numbered(spectrum: Spectrum, row: int, n: int, name: str) -> Spectrum:
    """Give a spectrum its row and its name."""
    if n > 1:
        spectrum.meta["row"] = row
    if not spectrum.meta.get("object"):
        spectrum.meta["object"] = f"{name}[{row}]" if n > 1 else name
    return spectrum


def read(path: Path | str) -> Spectrum:
    """Read one spectrum.

    Parameters
    ----------
    path : pathlib.Path or str
        A FITS file (``.fits``, ``.fit``, or with ``.gz``), or text with columns (``.ecsv``, ``.csv``).

    Returns
    -------
    specutils.Spectrum
        Flux as in the file, wavelengths in Å, inverse variance (no uncertainty if the file has no errors), mask, and
        ``meta`` with what the file says of ``medium`` ("air" or "vacuum"), ``frame``, ``resolution``, ``survey``,
        ``object`` and ``header``.

    Raises
    ------
    ValueError
        The file, what is wrong with it, and what to do. A file of many spectra is one for :func:`read_all`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from specnb import simulate
    >>> from specnb.observing import survey_files
    >>> star = simulate(1, seed=1)
    >>> with TemporaryDirectory() as folder:  # a file as LAMOST writes it
    ...     path = survey_files.lamost(f"{folder}/star.fits", star.observed[0], star.ivar[0])
    ...     spectrum = read(path)
    >>> len(spectrum.flux), spectrum.meta["medium"], spectrum.meta["resolution"]
    (3909, 'vacuum', 1800.0)
    """
    (spectrum,) = _spectra_of(Path(path), only_one=True)
    return spectrum


def read_all(source: Path | str | Spectrum | Sequence[Spectrum]) -> list[Spectrum]:
    """Read every spectrum of a file: rows of a table, targets of a coadd, or the only one.

    Parameters
    ----------
    source : pathlib.Path, str, specutils.Spectrum or sequence of specutils.Spectrum
        A file as of :func:`read`, or spectra (a ``SpectrumList``, or a ``Spectrum`` with many rows of flux).

    Returns
    -------
    list of specutils.Spectrum
        As of :func:`read`; of many, each has its number in ``meta["row"]`` and a name in ``meta["object"]``.

    Raises
    ------
    ValueError
        The file, what is wrong with it, and what to do.
    """
    if isinstance(source, str | Path):
        return list(read_each(source))
    found = _flat(source)
    return [_numbered(spectrum, i, len(found), "spectrum") for i, spectrum in enumerate(found)]


def read_each(path: Path | str) -> Iterator[Spectrum]:
    """Read the spectra of a file one after the other, so that a table of many needs no more memory than it has.

    Parameters
    ----------
    path : pathlib.Path or str
        As of :func:`read`.

    Yields
    ------
    specutils.Spectrum
        As of :func:`read_all`.

    Raises
    ------
    ValueError
        The file, what is wrong with it, and what to do.
    """
    yield from _spectra_of(Path(path), only_one=False)


def _spectra_of(path: Path, only_one: bool) -> Iterator[Spectrum]:
    """Read a file; every error names it and says what to do."""
    name = repr(str(path))
    _check(path, name)
    spectra = _found_in(path, only_one)
    while (spectrum := _next(spectra, name)) is not None:
        yield spectrum


def _found_in(path: Path, only_one: bool) -> Iterator[Spectrum]:
    if path.name.lower().endswith(endings.TEXT):
        yield _numbered(read_text(path), 0, 1, path.name)
    else:
        _look_through(path)
        yield from _fits(path, only_one)


def _next(spectra: Iterator[Spectrum], name: str) -> Spectrum | None:
    """Take the next spectrum of a file, None after the last; what warns of a broken file is an error."""
    try:
        with warnings.catch_warnings():
            # units and cards that are not to the standard
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            warnings.simplefilter("ignore", u.UnitsWarning)
            warnings.filterwarnings("error", message="(?s).*(truncated|corrupted)")
            return next(spectra, None)
    except ValueError as error:
        named = name in str(error)
        raise (error if named else ValueError(f"{name} cannot be read: {error}")) from error
    except BROKEN as error:
        raise ValueError(
            f"{name} is no readable FITS spectrum ({_kind(error)}); download it again"
        ) from error
    except Exception as error:
        raise ValueError(
            f"{name} cannot be read as a spectrum ({_kind(error)}): {UNKNOWN}"
        ) from error


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _check(path: Path, name: str) -> None:
    """Refuse what is no file of a kind that is read."""
    if path.is_dir():
        raise ValueError(f"{name} is a directory; give the files in it")
    if not path.exists():
        raise ValueError(f"{name} does not exist")
    if path.stat().st_size == 0:
        raise ValueError(f"{name} is empty; download it again")
    if path.name.endswith(endings.HDF5):
        raise ValueError(
            f"{name} is a set of spectra; open it with specnb.observing.readers.BoszSet"
        )
    if not path.name.lower().endswith((*endings.FITS, *endings.TEXT)):
        every = ", ".join((*endings.FITS, *endings.TEXT))
        raise ValueError(f"{name} is no FITS file by its name; give one of {every}")


def _look_through(path: Path) -> None:
    """Read a file to its end: astropy takes a broken archive for a short one, and reads for ever if cards are wild."""
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        while block := file.read(BLOCK):
            if found := WILD.search(block):
                card = " ".join(found[0].decode().split())
                raise ValueError(
                    f"a header says {card}, which FITS does not allow; download it again"
                )


def _fits(path: Path, only_one: bool) -> Iterator[Spectrum]:
    with _open(path) as hdus:
        layout = _layout(hdus)
        if isinstance(layout, Layout):
            _count(layout.count(hdus), only_one)
            yield from _spectra(hdus, layout, path.name)
            return
    found = _by_specutils(path, layout)
    n = _count(len(found), only_one)
    yield from (_numbered(one, i, n, path.name) for i, one in enumerate(found))


def _count(n: int, only_one: bool) -> int:
    """Refuse a file without spectra, and one of many where one is wanted; return n."""
    if n == 0:
        raise ValueError("the file holds no spectrum: its table is empty")
    if only_one and n > 1:
        raise _many(n)
    return n


def _many(n: int) -> ValueError:
    return ValueError(
        f"the file holds {n} spectra; read them with specnb.observing.readers.read_all"
    )


def _identify(layout: Layout) -> Any:
    """Make what specutils asks of a file, for one layout."""

    def identifier(origin: Any, path: Any, fileobj: Any, *args: Any, **kwargs: Any) -> bool:
        try:
            with _open(args[0] if args else path) as hdus:
                return layout.recognises(hdus)
        except (OSError, TypeError, ValueError, IndexError, KeyError):
            return False

    return identifier


def _register(layout: Layout) -> None:
    """Tell specutils of a layout, for one spectrum and for lists."""

    def one(file_obj: Any, **kwargs: Any) -> Spectrum:
        with _open(file_obj) as hdus:
            if (n := layout.count(hdus)) != 1:
                raise _many(n)
            return next(_spectra(hdus, layout, layout.label))

    def every(file_obj: Any, **kwargs: Any) -> SpectrumList:
        with _open(file_obj) as hdus:
            return SpectrumList(list(_spectra(hdus, layout, layout.label)))

    for function, kind in ((one, Spectrum), (every, SpectrumList)):
        data_loader(
            layout.label,
            identifier=_identify(layout),
            dtype=kind,
            extensions=["fits", "fit"],
            priority=layout.priority,
            autogenerate_spectrumlist=False,
            force=True,
        )(function)


for _layout_of in (*SURVEYS, *GENERAL):
    _register(_layout_of)
