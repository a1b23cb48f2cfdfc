"""How names of files end that are read; apart from the readers, because these take long to import."""

FITS = (".fits", ".fit", ".fits.gz", ".fit.gz")
"""FITS files."""

TEXT = (".ecsv", ".csv", ".ecsv.gz", ".csv.gz")
"""Text with columns."""

HDF5 = (".h5", ".hdf5")
"""Sets of spectra."""
