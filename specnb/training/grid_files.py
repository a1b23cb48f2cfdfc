r"""Grids of labelled model spectra in files: the packed grid that ships, and the formats users have.

Whatever the file, what comes out is normalised flux on the fine grid (vacuum) at a known resolving power, with
teff, logg, m_h and alpha_m. What a file does not say (air or vacuum, resolving power, labels) must be said by the
caller: air taken for vacuum is 83 km/s.

================  =================================================================================================
packed            folder of ``part-NNN.npz`` written by ``specnb grid pack``, or one such file
table             ``.npz`` or HDF5 with ``wave`` (Å), ``flux`` (n, m), optional ``continuum``, and one array a label
BOSZ HDF5         ``spectrumdataset/wave``, ``dataset/arrays/flux/value``; labels in ``dataset/params`` or a table
BOSZ files        a folder of MAST's text files, 2017 (three columns, vacuum) or 2024 (two columns, air, a wave file)
================  =================================================================================================
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table

from specnb import extras
from specnb.grid import DLOGLAM, FINE_LOGLAM, FINE_RESOLUTION, N_FINE, OVERSAMPLING

NAMES = {
    "teff": ("teff", "t_eff", "teff_k"),
    "logg": ("logg", "log_g", "logg_cgs"),
    "m_h": ("m_h", "mh", "fe_h", "feh", "m_h_dex"),
    "alpha_m": ("alpha_m", "a_m", "alpha_fe", "alpha_m_dex"),
}
"""Labels and the names (in lower case) under which files keep them."""

BOSZ_2024 = re.compile(
    r"bosz2024_\w+?_t(\d+)_g([+-][\d.]+)_m([+-][\d.]+)_a([+-][\d.]+)_.*_r(\d+)_\w+\.txt(\.gz)?$"
)
BOSZ_2017 = re.compile(
    r"am([pm])(\d\d)c[pm]\d\do([pm])(\d\d)t(\d+)g(\d\d)v\d+\w*b(\d+)rs\.asc(\.bz2|\.gz)?$"
)


@dataclass
class Grid:
    """Labels (n, 4), flux (n, 16151) on the fine grid, numbers of the stars (n,), resolving power of the flux.

    ``vmic`` is the microturbulence (n,) in km/s, where the file has it.
    """

    labels: np.ndarray
    flux: np.ndarray
    index: np.ndarray
    resolution: float
    vmic: np.ndarray | None = None


def read(
    path: Path | str,
    labels: Path | str | None = None,
    medium: str | None = None,
    resolution: float | None = None,
) -> Grid:
    """Read a grid of any of the formats above.

    Parameters
    ----------
    path : path
        File, folder of parts, or folder of BOSZ files.
    labels : path, optional
        A table that astropy reads (CSV, ECSV, FITS) with one row a spectrum, where the file has no labels.
    medium : {"air", "vacuum"}, optional
        Of the wavelengths, where the file does not say.
    resolution : float, optional
        Resolving power, where the file does not say.

    Returns
    -------
    Grid

    Raises
    ------
    ValueError
        The file lacks something, contradicts the caller, or does not cover the fine grid.
    """
    path = Path(path)
    if path.is_dir() and (parts := sorted(path.glob("part-[0-9]*.npz"))):
        return _agree(
            _joined([_packed(part, _npz(part)) for part in parts]), path, labels, medium, resolution
        )
    if path.is_dir():
        return _agree(_bosz_folder(path), path, labels, medium, resolution)
    if not path.exists():
        raise ValueError(f"grid {str(path)!r} does not exist")
    arrays = _npz(path) if path.suffix == ".npz" else _hdf5(path)
    if "flux_u16" in arrays:
        return _agree(_packed(path, arrays), path, labels, medium, resolution)
    missing = {"wave", "flux"} - set(arrays)
    if missing:
        raise ValueError(f"grid {str(path)!r} has no {sorted(missing)}; it has {sorted(arrays)}")
    flux = np.asarray(arrays["flux"], dtype="f8")
    if "continuum" in arrays:
        flux = flux / arrays["continuum"]
    medium = _said(
        "medium", medium, arrays.get("medium"), path, "say --medium air or --medium vacuum"
    )
    if medium not in ("air", "vacuum"):
        raise ValueError(f"medium is {medium!r}; say air or vacuum")
    resolution = _said(
        "resolution", resolution, arrays.get("resolution"), path, "say --resolution R"
    )
    table = {str(k).lower(): arrays[k] for k in arrays}
    if labels is not None:
        table |= {
            name.lower(): np.asarray(column) for name, column in Table.read(labels).columns.items()
        }
    y = _labels(table, len(flux), path)
    fine, base = to_fine(np.asarray(arrays["wave"], "f8"), flux, medium, float(resolution), path)
    return Grid(y, fine, np.arange(len(y)), base)


def _agree(grid, path, labels, medium, resolution):
    """Refuse what a caller says of a file that says it all."""
    if labels is not None or medium is not None or resolution not in (None, grid.resolution):
        raise ValueError(
            f"grid {str(path)!r} brings its labels, medium and resolving power; leave them out"
        )
    return grid


def broadened(flux: np.ndarray, fwhm: float, step: float) -> np.ndarray:
    """Smooth ``flux`` (…, m) on an even lattice of ``step`` in ln λ by a Gaussian of ``fwhm`` = 1/R (0: as it is)."""
    from scipy.ndimage import gaussian_filter1d

    width = fwhm / np.sqrt(8 * np.log(2)) / step
    return gaussian_filter1d(flux, width, mode="nearest") if width > 0 else flux


def to_fine(
    wave: np.ndarray, flux: np.ndarray, medium: str, resolution: float, path: Path | str
) -> tuple[np.ndarray, float]:
    """Bring normalised spectra to the fine grid, at R = 10,000 or their own resolving power if that is lower.

    Parameters
    ----------
    wave : numpy.ndarray
        Å, ascending, shape (m,).
    flux : numpy.ndarray
        Continuum-normalised, shape (n, m).
    medium : {"air", "vacuum"}
        Of ``wave``.
    resolution : float
        Resolving power of ``flux``.
    path : path
        Where they come from, for messages.

    Returns
    -------
    flux : numpy.ndarray
        Shape (n, 16151), float32.
    resolution : float
        Its resolving power.

    Raises
    ------
    ValueError
        The spectra do not cover the fine grid, or are not normalised.
    """
    from specutils.utils.wcs_utils import air_to_vac

    if wave.ndim != 1 or flux.shape[1:] != wave.shape or not (np.diff(wave) > 0).all():
        raise ValueError(
            f"grid {str(path)!r}: wave {wave.shape} must ascend and fit flux {flux.shape}"
        )
    if medium == "air":
        import astropy.units as u

        wave = air_to_vac(wave * u.AA, scheme="iteration", method="Morton2000").value
    low, high = 10 ** FINE_LOGLAM[[0, -1]]
    if wave[0] > low or wave[-1] < high:
        raise ValueError(
            f"grid {str(path)!r} covers {wave[0]:.0f}–{wave[-1]:.0f} Å in vacuum; {low:.0f}–{high:.0f} Å is needed"
        )
    level = np.median(flux, axis=1)
    if not (np.isfinite(flux).all() and (level > 0.3).all() and (level < 1.2).all()):
        raise ValueError(
            f"grid {str(path)!r}: the median flux runs from {level.min():.3g} to {level.max():.3g}; "
            "spectra must be finite and continuum-normalised, or come with a continuum"
        )
    base = min(resolution, FINE_RESOLUTION)
    step = np.diff(np.log(wave)).min()
    step = min(
        max(step, 1e-6), 0.2 / resolution
    )  # five points to the grid's own resolution element
    even = np.exp(np.arange(np.log(low) - 100 * step, np.log(high) + 100 * step, step))
    fwhm = np.sqrt(max(1 / base**2 - 1 / resolution**2, 0.0))
    rows = np.empty((len(flux), N_FINE), dtype="f4")
    for i, row in enumerate(flux):
        rows[i] = np.interp(
            10**FINE_LOGLAM, even, broadened(np.interp(even, wave, row), fwhm, step)
        )
    return rows, base


def _said(name, by_caller, by_file, path, remedy):
    """What the caller or the file says; a contradiction or silence is an error."""
    by_file = None if by_file is None else np.asarray(by_file).item()
    by_file = by_file.decode() if isinstance(by_file, bytes) else by_file
    if by_caller is None and by_file is None:
        raise ValueError(f"grid {str(path)!r} does not say its {name}; {remedy}")
    if by_caller is not None and by_file is not None and by_caller != by_file:
        raise ValueError(
            f"{name} is {by_caller!r} but grid {str(path)!r} says {by_file!r}; leave it out or correct it"
        )
    return by_file if by_caller is None else by_caller


def _labels(table, n, path):
    columns = []
    for name, aliases in NAMES.items():
        found = [a for a in aliases if a in table]
        if not found:
            raise ValueError(
                f"grid {str(path)!r} has no label {name}; give a table with one row a spectrum (--labels)"
            )
        column = np.asarray(table[found[0]], dtype="f8")
        if column.shape != (n,) or not np.isfinite(column).all():
            raise ValueError(
                f"label {name} has shape {column.shape} or is not finite; there are {n} spectra"
            )
        columns.append(column)
    return np.stack(columns, 1)


def _npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError) as error:
        raise ValueError(
            f"grid {str(path)!r} is not a readable .npz of plain arrays: {error}"
        ) from error


def _hdf5(path):
    extras.need("h5py", extra="train", purpose="Reading HDF5")
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"grid {str(path)!r} is neither .npz nor HDF5: {error}") from error
    with file:
        arrays = {k: v[()] for k, v in file.items() if isinstance(v, h5py.Dataset)}
        arrays |= dict(file.attrs)
        for short, name in (
            ("wave", "spectrumdataset/wave"),
            ("flux", "dataset/arrays/flux/value"),
        ):
            if name in file:
                arrays[short] = file[name][()]
        if isinstance(file.get("dataset/params"), h5py.Group):
            params = file["dataset/params"]
            arrays |= {
                k: v[()]
                for k, v in params.items()
                if isinstance(v, h5py.Dataset) and v.dtype.kind in "fi"
            }
        return arrays


def _packed(path, arrays):
    loglam = arrays["log10_wave_vac_angstrom"]
    if loglam.shape != (N_FINE,) or abs(loglam[1] - loglam[0] - DLOGLAM / OVERSAMPLING) > 1e-9:
        raise ValueError(
            f"grid {str(path)!r} is not on the fine lattice (3.6250 + 2e-5 i, 16151 points)"
        )
    flux = (arrays["flux_u16"] * np.float32(1.2 / 65535)).astype("f4")
    labels = arrays["labels"].astype("f8")
    index = arrays["design_index"].astype(int)
    return Grid(labels[:, :4], flux, index, float(arrays["resolution"]), labels[:, 4])


def _joined(grids):
    """Parts of one grid as one, by number of the star."""
    columns = {
        name: np.concatenate([getattr(g, name) for g in grids])
        for name in ("labels", "flux", "index", "vmic")
    }
    order = np.argsort(columns["index"], kind="stable")
    return Grid(
        **{name: column[order] for name, column in columns.items()}, resolution=grids[0].resolution
    )


def _bosz_folder(folder):
    files = sorted(
        f for f in folder.iterdir() if BOSZ_2024.search(f.name) or BOSZ_2017.search(f.name)
    )
    if not files:
        raise ValueError(
            f"folder {str(folder)!r} holds no BOSZ spectra (bosz2024_…_r….txt or am…b…rs.asc)"
        )
    labels, spectra, resolutions, media = [], [], set(), set()
    for file in files:
        columns = np.loadtxt(file, ndmin=2)
        if match := BOSZ_2024.search(file.name):
            media.add("air")
            labels.append([float(v) for v in match.groups()[:4]])
            resolutions.add(int(match[5]))
            waves = sorted(folder.glob(f"bosz2024_wave_r{match[5]}.txt*"))
            if not waves:
                raise ValueError(
                    f"folder {str(folder)!r} lacks bosz2024_wave_r{match[5]}.txt, the wavelengths"
                )
            wave, (flux, continuum) = np.loadtxt(waves[0]), columns.T[:2]
        else:
            match = BOSZ_2017.search(file.name)
            media.add("vacuum")
            metal, alpha = (
                float(v) / 10 * (1 if s == "p" else -1)
                for s, v in (match.groups()[:2], match.groups()[2:4])
            )
            labels.append([float(match[5]), float(match[6]) / 10, metal, alpha])
            resolutions.add(int(match[7]))
            wave, flux, continuum = columns.T[:3]
        inside = (wave > 4000) & (wave < 9100)
        spectra.append((wave[inside], flux[inside] / continuum[inside]))
    if len(resolutions) > 1 or len(media) > 1 or len({len(w) for w, _ in spectra}) > 1:
        raise ValueError(
            f"folder {str(folder)!r} mixes resolving powers {sorted(resolutions)} or releases; keep one"
        )
    flux = np.stack([f for _, f in spectra])
    fine, base = to_fine(spectra[0][0], flux, media.pop(), float(resolutions.pop()), folder)
    return Grid(np.array(labels), fine, np.arange(len(labels)), base)
