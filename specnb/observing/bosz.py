"""Sets of BOSZ spectra in HDF5, in the layout of the plan; one spectrum is read at a time."""

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import InverseVariance
from specutils import Spectrum

from specnb import extras


def _hdf5(path: Path | str) -> Any:
    extras.need("h5py", extra="train", purpose="Reading HDF5")
    import h5py

    return h5py.File(path)


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
