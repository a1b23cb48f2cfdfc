"""Spectra from files, as ``specutils.Spectrum``: LAMOST (both layouts), SDSS, sets of BOSZ, and what specutils reads.

Importing this module registers the LAMOST layouts with specutils, so that ``Spectrum.read(path)`` works on them, too.
What a file says of its medium, frame and resolution is carried in ``meta``: ``medium`` ("air" or "vacuum"), ``frame``,
``resolution``, ``survey``, ``object``, ``header``. What it does not say is not guessed.

LAMOST releases up to DR7 keep five rows (flux, inverse variance, wavelength, AND-mask, OR-mask) in the primary HDU;
later ones one row of vectors in the table ``COADD``. Medium-resolution files have a table ``COADD_B`` and are refused.
"""

import gzip
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.io.registry import IORegistryError
from astropy.nddata import InverseVariance
from specutils import Spectrum
from specutils.io.registers import data_loader

from specnb import extras

BAD_BITS = 0b111111
"""Bits of LAMOST's AND-mask that spoil a pixel in every exposure: bad CCD, profile, sky or fibre, scattered light."""

LAMOST_RESOLUTION, SDSS_RESOLUTION = 1800.0, 2000.0
"""λ/FWHM that the surveys state for the middle of their range."""

SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
"""How names of FITS files end."""

HDF5 = (".h5", ".hdf5")
"""How names of sets of spectra end."""


def _hdf5(path: Path | str) -> Any:
    extras.need("h5py", extra="train", purpose="Reading HDF5")
    import h5py

    return h5py.File(path)


@contextmanager
def _open(path: Any) -> Iterator[fits.HDUList]:
    if isinstance(path, str | Path):
        # opened here, because astropy leaves a broken file open
        with Path(path).open("rb") as file, fits.open(file, memmap=False) as hdus:
            yield hdus
    else:  # specutils hands over what it has opened
        with fits.open(path, memmap=False) as hdus:
            yield hdus


def _five_rows(hdus: fits.HDUList) -> bool:
    """Tell whether a file is of LAMOST DR7 or before."""
    shape = hdus[0].header.get("NAXIS2"), hdus[0].header.get("NAXIS")
    return hdus[0].header.get("TELESCOP") == "LAMOST" and shape == (5, 2)


def _one_row(hdus: fits.HDUList) -> bool:
    """Tell whether a file is of LAMOST DR8 or after."""
    return (
        len(hdus) > 1
        and hdus[0].header.get("TELESCOP") == "LAMOST"
        and hdus[1].header.get("EXTNAME") == "COADD"
    )


def _identify(layout: Callable[[fits.HDUList], bool]) -> Callable[..., bool]:
    """Make what specutils asks of a file, for one layout."""

    def identifier(origin, path, fileobj, *args, **kwargs):
        try:
            with _open(path) as hdus:
                return bool(layout(hdus))
        except (OSError, TypeError, ValueError, IndexError):
            return False

    return identifier


def _lamost(columns: Sequence[np.ndarray], header: fits.Header) -> Spectrum:
    """Make a spectrum of flux, inverse variance, wavelength [Å] and AND-mask."""
    flux, ivar, wave, mask = (np.asarray(c, "f8").ravel() for c in columns)
    spoilt = (np.nan_to_num(mask).astype(int) & BAD_BITS) != 0
    bad = spoilt | (ivar <= 0) | ~np.isfinite(flux) | ~np.isfinite(ivar)
    meta = {
        "header": dict(header),
        "survey": "LAMOST",
        "medium": "vacuum",
        "resolution": LAMOST_RESOLUTION,
        "frame": "heliocentric" if header.get("HELIO") else None,
        "object": header.get("DESIG", ""),
    }
    uncertainty = InverseVariance(np.where(bad, 0, ivar))
    return Spectrum(
        flux=flux * u.one, spectral_axis=wave * u.AA, uncertainty=uncertainty, mask=bad, meta=meta
    )


@data_loader(
    "LAMOST LRS five rows",
    identifier=_identify(_five_rows),
    dtype=Spectrum,
    extensions=["fits"],
    priority=20,
)
def lamost_five_rows(file_obj: Any, **kwargs: Any) -> Spectrum:
    """Read a LAMOST low-resolution spectrum of DR7 and before; called by specutils."""
    with _open(file_obj) as hdus:
        return _lamost(hdus[0].data[:4], hdus[0].header)


@data_loader(
    "LAMOST LRS", identifier=_identify(_one_row), dtype=Spectrum, extensions=["fits"], priority=20
)
def lamost(file_obj: Any, **kwargs: Any) -> Spectrum:
    """Read a LAMOST low-resolution spectrum since DR8; called by specutils."""
    with _open(file_obj) as hdus:
        names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK")
        if missing := [name for name in names if name not in hdus[1].columns.names]:
            raise ValueError(
                f"{str(file_obj)!r}: table COADD lacks {missing}; download the file again"
            )
        if len(hdus[1].data) != 1:
            raise ValueError(
                f"{str(file_obj)!r}: table COADD has {len(hdus[1].data)} rows, not one; give one spectrum"
            )
        return _lamost([hdus[1].data[0][name] for name in names], hdus[0].header)


def read(path: Path | str) -> Spectrum:
    """Read one spectrum.

    Parameters
    ----------
    path : pathlib.Path or str
        ``.fits`` or ``.fits.gz``.

    Returns
    -------
    specutils.Spectrum
        Flux as in the file, wavelengths, inverse variance, mask, and ``meta`` with what the file says of ``medium``
        ("air" or "vacuum"), ``frame``, ``resolution``, ``survey``, ``object`` and ``header``.

    Raises
    ------
    ValueError
        The file, what is wrong with it, and what to do.

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
    path = Path(path)
    name = repr(str(path))
    if path.is_dir():
        raise ValueError(f"{name} is a directory; give the files in it")
    if not path.exists():
        raise ValueError(f"{name} does not exist")
    if path.stat().st_size == 0:
        raise ValueError(f"{name} is empty; download it again")
    if path.name.endswith(HDF5):
        raise ValueError(
            f"{name} is a set of spectra; open it with specnb.observing.readers.BoszSet"
        )
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"{name} is no FITS file by its name; give one of {', '.join(SUFFIXES)}")
    try:
        with warnings.catch_warnings():
            # units and cards that are not to the standard
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            warnings.filterwarnings("error", message="(?s).*(truncated|corrupted)")
            if path.suffix == ".gz":
                _read_to_end(path)
            return _read(path)
    except ValueError as error:
        named = name in str(error)
        raise (error if named else ValueError(f"{name} cannot be read: {error}")) from error
    except IORegistryError as error:
        raise ValueError(
            f"{name} has no layout that specnb or specutils knows; build a specutils Spectrum"
        ) from error
    except Exception as error:
        kind, text = type(error).__name__, (str(error).splitlines() or [""])[0]
        raise ValueError(
            f"{name} is no readable FITS spectrum ({kind}: {text}); download it again"
        ) from error


def _read_to_end(path: Path) -> None:
    """Unpack a file and let it go: astropy takes a broken one for a short one."""
    with gzip.open(path) as file:
        while file.read(2**20):
            pass


def _read(path: Path) -> Spectrum:
    """Read a file by its layout: LAMOST's two, SDSS's, and what else specutils knows."""
    with _open(path) as hdus:
        names = [hdu.name for hdu in hdus]
        if _five_rows(hdus):
            return lamost_five_rows(path)
        if _one_row(hdus):
            return lamost(path)
        if "COADD_B" in names:
            raise ValueError(
                f"{str(path)!r} is a LAMOST medium-resolution file; only low resolution (R = 1800) is read"
            )
        if "B_WAVELENGTH" in names:
            raise ValueError(
                f"{str(path)!r} is a DESI coadd of arms; join them and pass a specutils Spectrum"
            )
        has_table = len(hdus) > 1 and isinstance(hdus[1], fits.BinTableHDU)
        columns = hdus[1].columns.names if has_table else []
    if not {"flux", "loglam", "ivar"} <= set(columns):
        return Spectrum.read(path)
    spectrum = Spectrum.read(path, format="SDSS-III/IV spec")
    spectrum.meta |= {
        "survey": "SDSS",
        "medium": "vacuum",
        "frame": "heliocentric",
        "resolution": SDSS_RESOLUTION,
        "object": path.name,
    }
    return spectrum


class BoszSet:
    """A set of BOSZ spectra in HDF5, read one at a time.

    Parameters
    ----------
    path : pathlib.Path or str
        With ``spectrumdataset/wave``, ``dataset/arrays/flux/value`` and ``dataset/arrays/error/value``.
    medium : str
        ``"air"`` or ``"vacuum"``, which the file does not say.
    resolution : float
        λ/FWHM of the spectra, which it does not say either.

    Raises
    ------
    ValueError
        A file that is not of this layout.
    """

    WAVE = "spectrumdataset/wave"
    FLUX = "dataset/arrays/flux/value"
    ERROR = "dataset/arrays/error/value"

    def __init__(self, path: Path | str, medium: str, resolution: float):
        self.path, self.medium, self.resolution = Path(path), medium, float(resolution)
        try:
            with _hdf5(path) as file:
                arrays = self.WAVE, self.FLUX, self.ERROR
                if missing := [key for key in arrays if key not in file]:
                    raise ValueError(
                        f"{str(path)!r} lacks {missing}; is it a set in the layout of BOSZ?"
                    )
                self.wave = file[self.WAVE][:]
                shapes = file[self.FLUX].shape, file[self.ERROR].shape
        except OSError as error:
            raise ValueError(f"{str(path)!r} is no readable HDF5 file: {error}") from error
        if len(set(shapes)) > 1 or len(shapes[0]) != 2 or shapes[0][1:] != self.wave.shape:
            raise ValueError(
                f"{str(path)!r}: flux, error and wave have shapes {shapes[0]}, {shapes[1]}, {self.wave.shape}"
            )
        self.n = shapes[0][0]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Spectrum:
        """Read spectrum ``i``."""
        if not -self.n <= i < self.n:
            raise IndexError(f"spectrum {i} of {self.n}")
        with _hdf5(self.path) as file:
            flux, error = (file[key][i % self.n].astype("f8") for key in (self.FLUX, self.ERROR))
        bad = ~(error > 0) | ~np.isfinite(flux)
        ivar = np.where(bad, 0, 1 / np.where(bad, 1, error) ** 2)
        meta = {
            "survey": "BOSZ",
            "medium": self.medium,
            "resolution": self.resolution,
            "object": str(i),
        }
        return Spectrum(
            flux=flux * u.one,
            spectral_axis=self.wave * u.AA,
            uncertainty=InverseVariance(ivar),
            mask=bad,
            meta=meta,
        )
