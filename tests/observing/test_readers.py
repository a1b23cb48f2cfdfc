"""Files of every layout, and every bad file with what is said of it."""

import gzip
import pickle
import shutil

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum

import specnb
from specnb.grid import WAVE
from specnb.observing import readers, survey_files


@pytest.fixture(scope="module")
def star():
    return specnb.simulate(1, 0, snr=50)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_lamost_in_both_layouts(tmp_path, star, rows, name):
    mask = np.zeros(len(survey_files.LAMOST))
    mask[survey_files.FIRST + 100] = 1
    path = survey_files.lamost(tmp_path / name, star.observed[0], star.ivar[0], mask, rows)
    found = readers.read(path)
    inside = slice(survey_files.FIRST, survey_files.FIRST + len(WAVE))
    assert found.spectral_axis.to_value(u.AA)[inside] == pytest.approx(WAVE, rel=1e-6)
    bad = star.ivar[0] == 0
    bad[100] = True
    assert np.array_equal(found.mask[inside], bad)
    assert np.array_equal(found.flux.value[inside][~bad], star.observed[0][~bad])
    assert found.meta["medium"] == "vacuum"
    assert found.meta["resolution"] == 1800
    assert found.meta["object"] == "LAMOST J0"
    assert found.meta["frame"] == "heliocentric"


def test_specutils_knows_the_layouts(tmp_path, star):
    for rows in (True, False):
        path = survey_files.lamost(
            tmp_path / f"{rows}.fits", star.observed[0], star.ivar[0], rows=rows
        )
        assert Spectrum.read(path).meta["survey"] == "LAMOST"


def test_sdss(tmp_path):
    loglam = 3.58 + 1e-4 * np.arange(3800)
    path = survey_files.sdss(
        tmp_path / "spec-0266-51602-0001.fits", np.ones(3800), np.full(3800, 100.0), loglam
    )
    found = readers.read(path)
    assert found.flux.unit == 1e-17 * u.erg / u.AA / u.s / u.cm**2
    assert found.meta["medium"] == "vacuum"
    assert found.meta["survey"] == "SDSS"
    assert found.uncertainty.array == pytest.approx(100.0)


def test_a_set_of_bosz_is_read_lazily(tmp_path):
    with h5py.File(tmp_path / "set.h5", "w") as file:
        file["spectrumdataset/wave"] = np.linspace(4000, 9000, 50)
        file["dataset/arrays/flux/value"] = np.arange(150.0).reshape(3, 50)
        file["dataset/arrays/error/value"] = np.full((3, 50), 0.5)
    found = readers.BoszSet(tmp_path / "set.h5", "vacuum", 1800)
    assert len(found) == 3
    assert found[1].flux.value[0] == 50
    assert found[-1].flux.value[0] == 100
    assert found[0].uncertainty.array == pytest.approx(4.0)
    assert found[0].meta["medium"] == "vacuum"
    with pytest.raises(IndexError, match="spectrum 3 of 3"):
        found[3]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match=r"lacks .*is it a set in the layout of BOSZ"):
        readers.BoszSet(tmp_path / "other.h5", "vacuum", 1800)
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ValueError, match="no readable HDF5 file"):
        readers.BoszSet(tmp_path / "text.h5", "vacuum", 1800)


def broken(folder, star):
    """name → (file, what is said of it)."""
    good = survey_files.lamost(folder / "good.fits", star.observed[0], star.ivar[0])
    (folder / "empty.fits").write_bytes(b"")
    (folder / "text.fits").write_text("no spectrum\n" * 500)
    (folder / "cut.fits").write_bytes(good.read_bytes()[:40000])
    (folder / "pickle.fits").write_bytes(pickle.dumps({"flux": [1.0]}) * 400)
    (folder / "half.fits.gz").write_bytes(gzip.compress(good.read_bytes())[:20000])
    (folder / "spectrum.txt").write_text("4000 1")
    (folder / "folder.fits").mkdir()
    with fits.open(good) as hdus:
        names = ["FLUX", "WAVELENGTH", "ANDMASK"]
        table = fits.BinTableHDU.from_columns([hdus[1].columns[k] for k in names], name="COADD")
        fits.HDUList([hdus[0], table]).writeto(folder / "lacks.fits")
        medium = fits.BinTableHDU.from_columns([hdus[1].columns["FLUX"]], name="COADD_B")
        fits.HDUList([hdus[0], medium]).writeto(folder / "medium.fits")
    fits.PrimaryHDU(np.zeros((3, 10))).writeto(folder / "image.fits")
    return {
        "missing.fits": "does not exist",
        "empty.fits": "is empty; download it again",
        "text.fits": "is no readable FITS spectrum .*download it again",
        "cut.fits": "download it again",
        "pickle.fits": "is no readable FITS spectrum .*download it again",
        "half.fits.gz": "download it again",
        "spectrum.txt": "is no FITS file by its name; give one of .fits",
        "folder.fits": "is a directory; give the files in it",
        "lacks.fits": r"table COADD lacks \['IVAR'\]",
        "medium.fits": "medium-resolution file; only low resolution",
        "image.fits": "",
    }


def test_bad_files_are_named_with_what_is_wrong(tmp_path, star):
    for name, said in broken(tmp_path, star).items():
        with pytest.raises(ValueError, match=f"(?s){name}.*{said}"):
            readers.read(tmp_path / name)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return shutil.copy, (str(tmp_path / "a"), str(tmp_path / "b"))

    (tmp_path / "a").write_text("x")
    (tmp_path / "trap.fits").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"trap\.fits"):
        readers.read(tmp_path / "trap.fits")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("card", "value"),
    [("NAXIS", 2147483647), ("TFIELDS", 1000), ("NAXIS2", -1), ("PCOUNT", -9), ("SIMPLE", "F")],
)
def test_cards_that_no_file_has_are_refused_at_once(tmp_path, star, card, value, packed):
    """astropy counts as far as NAXIS says, and goes backwards for ever if a size is negative, as of SIMPLE = F."""
    path = survey_files.lamost(tmp_path / "a.fits", star.observed[0], star.ivar[0])
    content = path.read_bytes()
    at = content.rindex(f"{card:8}=".encode())
    broken = content[:at] + f"{card:8}= {value:>20}".ljust(80).encode() + content[at + 80 :]
    path = tmp_path / f"b.fits{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(broken) if packed else broken)
    with pytest.raises(ValueError, match=rf"b\.fits.*a header says {card} ?= {value}"):
        readers.read(path)
