"""Every layout, written from a simulated star and read back; units, order, masks, gaps and what files say."""

import gzip
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from specutils import Spectrum, SpectrumList

import specnb
from specnb.observing import arms, assemble, headers, native, readers, survey_files

SHARED = Path(__file__).parent.parent.parent.parent / "shared"
FLAM = u.erg / u.s / u.cm**2 / u.AA
CGS = u.Unit(1e-17 * FLAM)
FREE = {"deadline": None, "max_examples": 20, "suppress_health_check": list(HealthCheck)}
LOGLAM = survey_files.LAMOST


@pytest.fixture(scope="module")
def star():
    """Flux and ivar on LAMOST's pixels, some of them without data."""
    s = specnb.simulate(1, 0, snr=50)
    flux, ivar = np.ones((2, len(LOGLAM)))
    inside = slice(survey_files.FIRST, survey_files.FIRST + len(s.observed[0]))
    flux[inside], ivar[inside] = s.observed[0], s.ivar[0]
    ivar[-20:] = 0
    return flux.astype("f4").astype("f8"), ivar.astype("f4").astype("f8")


def same(found, flux, ivar, wave, scale=1.0):
    """A spectrum is what was written."""
    assert found.spectral_axis.to_value(u.AA) == pytest.approx(wave, rel=3e-8)
    good = ivar > 0
    assert np.array_equal(~found.mask, good)
    assert found.flux.value[good] == pytest.approx(flux[good] * scale, rel=1e-6)
    assert found.uncertainty.array == pytest.approx(ivar / scale**2, rel=1e-5)


def said(found, *keys):
    return tuple(found.meta.get(key) for key in keys)


def test_lamost_of_the_pilot_survey_takes_wavelengths_from_its_coefficients(tmp_path, star):
    found = readers.read(survey_files.lamost_pilot(tmp_path / "a.fits", *star))
    same(found, *star, 10**LOGLAM)
    assert said(found, "medium", "resolution", "frame") == ("vacuum", 1800.0, "heliocentric")
    assert native.onto_grid(found)[2] == []  # on the lattice: nothing is resampled


def test_lamost_keeps_a_shift_of_row_three(tmp_path, star):
    path = survey_files.lamost(
        tmp_path / "a.fits", *np.ones((2, 3136)), rows=True, loglam=LOGLAM + 5e-6
    )
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["COEFF0"], hdus[0].header["COEFF1"] = 3.5682, 1e-4
    wave = readers.read(path).spectral_axis.to_value(u.AA)
    assert np.log10(wave) - LOGLAM == pytest.approx(5e-6, abs=1e-7)


def test_spspec(tmp_path, star):
    found = readers.read(survey_files.spspec(tmp_path / "spSpec-1.fit", *star, LOGLAM))
    same(found, *star, 10**LOGLAM)
    assert said(found, "medium", "survey", "object") == ("vacuum", "SDSS", "SDSS 266-51602-1")
    assert found.meta["resolution"] == pytest.approx(1844.3, abs=0.1)  # σ of one pixel
    assert found.flux.unit == CGS


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_spec_of_sdss_in_both_cases(tmp_path, star, case):
    path = survey_files.sdss(tmp_path / "spec-1.fits", *star, LOGLAM)
    with fits.open(path, mode="update") as hdus:
        for i, name in enumerate(hdus[1].columns.names, 1):
            hdus[1].header[f"TTYPE{i}"] = case(name)
    found = readers.read(path)
    same(found, *star, 10**LOGLAM)
    assert said(found, "medium", "frame", "survey") == ("vacuum", "heliocentric", "SDSS")
    assert found.meta["resolution"] == pytest.approx(1844.3, abs=0.1)
    assert found.meta["resolving_power"].shape == found.flux.shape
    assert native.onto_grid(found)[2] == []


def test_mwm_star_gives_its_optical_spectrum_at_rest(tmp_path, star):
    flux, ivar = star
    found = readers.read(survey_files.mwm(tmp_path / "a.fits", flux[None], ivar[None], 10**LOGLAM))
    same(found, flux, ivar, 10**LOGLAM)
    assert said(found, "medium", "frame", "object") == ("vacuum", "rest", "SDSS 42")
    assert "row" not in found.meta


def test_an_infrared_mwm_star_is_refused(tmp_path, star):
    none = np.ones((0, len(LOGLAM)))
    path = survey_files.mwm(tmp_path / "a.fits", none, none, 10**LOGLAM)
    with pytest.raises(ValueError, match=r"a\.fits.*holds no optical spectrum"):
        readers.read(path)


@pytest.mark.parametrize("layout", ["mwm", "mastar", "desi"])
def test_many_spectra_are_read_with_row_and_name(tmp_path, star, layout):
    flux, ivar = (np.stack([a, 2 * a, 3 * a]) for a in star)
    wave = 10**LOGLAM
    path = tmp_path / "many.fits"
    if layout == "desi":
        survey_files.desi(path, {"B": (wave, flux, ivar)})
    else:
        getattr(survey_files, layout)(path, flux, ivar, wave)
    with pytest.raises(ValueError, match=r"many\.fits.*holds 3 spectra; .*read_all"):
        readers.read(path)
    found = readers.read_all(path)
    assert [f.meta["row"] for f in found] == [0, 1, 2]
    for i, f in enumerate(found):
        same(f, flux[i], ivar[i], wave)
        assert f.meta["medium"] == "vacuum"
    names = {"mwm": ["SDSS 42"] * 3, "mastar": ["3-0", "3-1", "3-2"]}
    expected = names.get(layout, ["DESI 100", "DESI 101", "DESI 102"])
    assert [f.meta["object"] for f in found] == expected
    listed = SpectrumList.read(path)
    assert [f.meta["object"] for f in listed] == expected


def test_read_all_of_one_spectrum(tmp_path, star):
    path = survey_files.spspec(tmp_path / "a.fit", *star, LOGLAM)
    (found,) = readers.read_all(path)
    assert np.array_equal(found.flux.value, readers.read(path).flux.value)
    assert "row" not in found.meta


def test_resolution_of_mastar_and_desi_is_read(tmp_path, star):
    flux, ivar = (a[None] for a in star)
    found = readers.read(survey_files.mastar(tmp_path / "a.fits", flux, ivar, 10**LOGLAM))
    assert found.meta["resolution"] == pytest.approx(1844.3, rel=1e-3)
    wave = 3600 + 0.8 * np.arange(4000)
    ones = np.ones((1, 4000))
    found = readers.read(survey_files.desi(tmp_path / "b.fits", {"B": (wave, ones, ones)}, 1.5))
    expected = np.median(wave[(wave > 4251.09) & (wave < 8749)]) / (1.5 * 0.8 * 2.3548)
    assert found.meta["resolution"] == pytest.approx(expected, rel=0.01)


@settings(**FREE)
@given(
    overlap=st.integers(-300, 300), seed=st.integers(0, 99), dead=st.sampled_from(["", "B", "R"])
)
def test_arms_of_desi_are_averaged_where_they_overlap_and_gaps_stay(
    tmp_path_factory, overlap, seed, dead
):
    rng = np.random.default_rng(seed)
    step = 4000 + 0.8 * np.arange(1600 - overlap)
    b, r = slice(0, 800), slice(800 - overlap, 1600 - overlap)
    flux, weight = 1 + rng.random((2, 800)), 1 + rng.random((2, 800))
    flux, weight = flux.astype("f4"), weight.astype("f4")
    for i, arm in enumerate("BR"):
        weight[i] *= dead != arm
    if dead:
        weight[:, 0] = 1
    path = tmp_path_factory.mktemp("desi") / "a.fits"
    parts = {"B": (step[b], flux[:1], weight[:1]), "R": (step[r], flux[1:], weight[1:])}
    found = readers.read(survey_files.desi(path, parts))
    w, y = np.zeros((2, len(step)))
    for at, f, v in ((b, flux[0], weight[0]), (r, flux[1], weight[1])):
        w[at] += v
        y[at] += v * f
    assert found.spectral_axis.to_value(u.AA) == pytest.approx(step, rel=1e-12)
    assert found.uncertainty.array == pytest.approx(w, rel=1e-6)
    good = w > 0
    assert found.flux.value[good] == pytest.approx(y[good] / w[good], rel=1e-6)
    assert np.array_equal(found.mask, ~good)


@settings(**FREE)
@given(gap=st.floats(-300, 300), steps=st.lists(st.floats(0.5, 1.5), min_size=2, max_size=4))
def test_arms_on_other_pixels_are_never_interpolated(gap, steps):
    parts, start = [], 4000.0
    for i, step in enumerate(steps):
        wave = start + step * np.arange(500)
        parts.append(arms.Arm(wave, wave + i * 1e5, np.full(500, 1.0 + i)))
        start = wave[-1] + gap
    joined, _ = arms.join(parts)
    assert (np.diff(joined.wave) > 0).all()
    written = {(w, f) for part in parts for w, f in zip(part.wave, part.flux, strict=True)}
    kept = joined.ivar > 0
    if np.ptp(steps) > 0.05:  # else they may share a lattice
        assert {
            (w, f) for w, f in zip(joined.wave[kept], joined.flux[kept], strict=True)
        } <= written


@pytest.mark.parametrize("air", [True, False])
def test_eso(tmp_path, star, air):
    flux, ivar = star
    error = np.where(ivar > 0, ivar, np.inf) ** -0.5
    path = tmp_path / "a.fits"
    survey_files.eso(path, 1e-15 * flux, 1e-15 * error, 10**LOGLAM / 10, air)
    found = readers.read(path)
    same(found, flux, ivar, 10**LOGLAM, 1e-15)
    assert found.flux.unit == FLAM
    assert found.meta["medium"] == ("air" if air else "vacuum")
    expected = (5000.0, "barycentric", "HD 1")
    assert said(found, "resolution", "frame", "object") == expected


def linear(n, **cards):
    return {"CRVAL1": 4000.0, "CDELT1": 0.5, "CRPIX1": 1.0} | cards, 4000 + 0.5 * np.arange(n)


@pytest.mark.parametrize(
    ("cards", "medium"),
    [
        ({"CTYPE1": "AWAV", "CUNIT1": "Angstrom"}, "air"),
        ({"CTYPE1": "WAVE", "CUNIT1": "Angstrom"}, "vacuum"),
        ({"CTYPE1": "LINEAR", "CUNIT1": "angstroms", "DC-FLAG": 0}, None),
        ({"CTYPE1": "lambda", "CUNIT1": "A", "VACUUM": True}, "vacuum"),
        ({"VACUUM": False}, "air"),
        ({"AIRORVAC": "air"}, "air"),
        ({"CTYPE1": "LINEAR", "WAT1_001": "wtype=linear label=Wavelength units=Angstroms"}, None),
        ({"CD1_1": 0.5, "CRPIX1": -199.0, "CRVAL1": 3900.0}, None),
        ({"CTYPE1": "WAVE", "CUNIT1": "nm", "CRVAL1": 400.0, "CDELT1": 0.05}, "vacuum"),
        ({"CTYPE1": "AWAV", "CRVAL1": 4e-7, "CDELT1": 5e-11}, "air"),
    ],
)
def test_images_with_a_linear_axis(tmp_path, cards, medium):
    header, wave = linear(1000, **cards)
    flux = 1 + np.arange(1000.0)
    found = readers.read(survey_files.image(tmp_path / "a.fits", flux, header, np.full(1000, 0.5)))
    assert found.spectral_axis.to_value(u.AA) == pytest.approx(wave, rel=1e-9)
    assert found.uncertainty.array == pytest.approx(4.0)
    assert found.meta.get("medium") == medium
    assert "resolution" not in found.meta


@pytest.mark.parametrize(
    "cards",
    [
        {"DC-FLAG": 1, "CTYPE1": "LINEAR"},
        {"COEFF0": 3.6, "COEFF1": 1e-4},
        {"CTYPE1": "WAVE-LOG"},
        {"CUNIT1": "log(Angstrom)"},
        {},
    ],
)
def test_images_with_a_logarithmic_axis(tmp_path, cards):
    header = {"CRVAL1": 3.6, "CDELT1": 1e-4} | cards
    found = readers.read(survey_files.image(tmp_path / "a.fits", np.ones(900), header))
    expected = 10 ** (3.6 + 1e-4 * np.arange(900))
    assert found.spectral_axis.to_value(u.AA) == pytest.approx(expected, rel=1e-9)
    assert found.uncertainty is None


def test_a_natural_logarithm_as_the_standard_has_it(tmp_path):
    header = {"CTYPE1": "AWAV-LOG", "CUNIT1": "Angstrom", "CRVAL1": 4000.0, "CDELT1": 0.4}
    found = readers.read(survey_files.image(tmp_path / "a.fits", np.ones(900), header))
    expected = 4000 * np.exp(0.4 * np.arange(900) / 4000)
    assert found.spectral_axis.to_value(u.AA) == pytest.approx(expected, rel=1e-12)
    assert found.meta["medium"] == "air"


def test_zeros_and_nan_are_no_data(tmp_path):
    flux = 1 + np.arange(100.0)
    flux[:1], flux[50:53], flux[70], flux[80] = 0, 0, 0, np.nan
    header, _ = linear(100)
    found = readers.read(survey_files.image(tmp_path / "a.fits", flux, header))
    assert np.flatnonzero(found.mask).tolist() == [0, 50, 51, 52, 80]


def test_units_of_old_files_are_accepted(tmp_path):
    header, _ = linear(100, BUNIT="ergs s-1 cm-2 A-1", CUNIT1="angstroms")
    found = readers.read(survey_files.image(tmp_path / "a.fits", np.ones(100), header))
    assert found.flux.unit == FLAM
    assert headers.unit("1E-17 erg/cm^2/s/Ang") == CGS
    assert headers.unit("10**-17 erg/(s cm2 Angstrom)") == CGS
    assert headers.unit("erg /s /cm2 /angstroms ") == FLAM
    assert headers.unit("DU/PIXEL") is None


TABLES = {
    "wave": ("flux", "err"),
    "Wavelength": ("FLUX", "IVAR"),
    "lambda": ("Flux", "sigma"),
    "loglam": ("flux", "ivar"),
    "WAVE": ("FLUX", "ERROR"),
    "wl": ("flux", "uncertainty"),
}


@settings(**FREE)
@given(
    name=st.sampled_from(sorted(TABLES)),
    unit=st.sampled_from(["Angstrom", "nm", "um", "m"]),
    flux_unit=st.sampled_from(["", "erg / (s cm2 AA)", "1e-17 erg / (s cm2 AA)", "Jy"]),
    error_unit=st.sampled_from(["same", "silent", "erg / (s cm2 AA)", "mJy"]),
    order=st.sampled_from(["up", "down", "shuffled"]),
    ending=st.sampled_from(["fits", "ecsv"]),
    masked=st.lists(st.integers(0, 299), max_size=5),
    seed=st.integers(0, 99),
)
def test_tables_in_any_unit_order_and_mask(
    tmp_path_factory, name, unit, flux_unit, error_unit, order, ending, masked, seed
):
    rng = np.random.default_rng(seed)
    wave, flux, error = np.linspace(4000, 7000, 300), 1 + rng.random(300), 0.1 + rng.random(300)
    flux_name, error_name = TABLES[name]
    base = u.Unit(flux_unit)
    own = base if error_unit in ("same", "silent") else u.Unit(error_unit)
    at = u.spectral_density(wave * u.AA)
    convertible = base.is_equivalent(own, at)
    given_error = (error * base).to_value(own, at) if convertible else error
    if "ivar" in error_name.lower():
        given_error, own = given_error**-2, own**-2
    axis = np.log10(wave) if name == "loglam" else (wave * u.AA).to_value(unit)
    index = {"up": np.arange(300), "down": np.arange(300)[::-1]}.get(order, rng.permutation(300))
    hidden = np.isin(np.arange(300), masked)
    table = Table()
    table[name] = axis[index]
    table[flux_name] = MaskedColumn(flux[index], mask=hidden[index])
    table[error_name] = given_error[index]
    if name != "loglam":
        table[name].unit = unit
    table[flux_name].unit = base if base != u.one else None
    table[error_name].unit = None if error_unit == "silent" or own == u.one else own
    path = tmp_path_factory.mktemp("table") / f"a.{ending}"
    table.write(path)
    if not convertible:
        with pytest.raises(ValueError, match=r"the uncertainty is in .* and the flux in"):
            readers.read(path)
        return
    found = readers.read(path)
    assert found.spectral_axis.to_value(u.AA) == pytest.approx(wave, rel=1e-9)
    assert np.array_equal(found.mask, hidden)
    assert found.flux.value[~hidden] == pytest.approx(flux[~hidden])
    assert found.uncertainty.array == pytest.approx(np.where(hidden, 0, error**-2), rel=1e-6)
    assert found.flux.unit == base
    assert "medium" not in found.meta


@settings(**FREE)
@given(
    order=st.sampled_from(["<", ">"]),
    size=st.sampled_from(["f4", "f8"]),
    descending=st.booleans(),
)
def test_byte_orders(tmp_path_factory, order, size, descending):
    wave, flux = np.linspace(4000, 7000, 200), np.linspace(1, 2, 200)
    if descending:
        wave, flux = wave[::-1], flux[::-1]
    columns = [np.array(a, order + size) for a in (wave, flux, 0.1 * flux)]
    path = tmp_path_factory.mktemp("bytes") / "a.fits"
    Table(columns, names=("wave", "flux", "err"), units=("AA", "", "")).write(path)
    found = readers.read(path)
    assert found.flux.value == pytest.approx(np.linspace(1, 2, 200), rel=1e-6)
    assert found.flux.value.dtype == np.dtype("f8")
    assert found.uncertainty.array == pytest.approx(100 * np.linspace(1, 2, 200) ** -2.0, rel=1e-5)


def test_csv_says_units_behind_names_and_the_rest_in_comments(tmp_path, star):
    flux, ivar = star
    error = np.where(ivar > 0, ivar, np.inf) ** -0.5
    rows = zip(10**LOGLAM / 10, flux, np.where(np.isfinite(error), error, np.nan), strict=True)
    lines = ["# medium: air", "# resolution = 1900", "# object: HD 2", "wave [nm],flux,err"]
    lines += [",".join(repr(float(x)) for x in row) for row in rows]
    path = tmp_path / "α.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = readers.read(path)
    same(found, flux, ivar, 10**LOGLAM)
    assert said(found, "medium", "resolution", "object") == ("air", 1900.0, "HD 2")
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(readers.read(packed).flux.value, found.flux.value, equal_nan=True)


def test_ecsv_says_the_rest_in_its_meta(tmp_path):
    meta = {"medium": "vacuum", "resolution": 2000}
    table = Table({"wave": np.linspace(4, 7, 50) * 100, "flux": np.ones(50)}, meta=meta)
    table["wave"].unit = "nm"
    table.write(tmp_path / "a.ecsv")
    found = readers.read(tmp_path / "a.ecsv")
    assert said(found, "medium", "resolution", "object") == ("vacuum", 2000.0, "a.ecsv")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"time": [1, 2, 3], "flux": [1, 2, 3]}, "this layout is not known: build a specutils"),
        ({"wave": [0.4, 0.5, 0.6], "flux": [1, 2, 3]}, "have no unit that is known"),
        ({"wave": [4e3, 5e3, 4.5e3, 6e3, 7e3] * 8, "flux": [1] * 40}, "do not increase at pixel"),
        ({"loglam": [360, 361, 362], "flux": [1, 2, 3]}, "log10 of the wavelength reaches 362"),
    ],
)
def test_tables_that_are_no_spectrum(tmp_path, table, complaint):
    for ending in ("fits", "csv"):
        Table(table).write(tmp_path / f"a.{ending}")
        with pytest.raises(ValueError, match=rf"a\.{ending}.*{complaint}") as caught:
            readers.read(tmp_path / f"a.{ending}")
        assert "download" not in str(caught.value)


def test_specutils_reads_what_it_knows_better(tmp_path):
    """What specutils wrote comes back through it or through us, the same."""
    spectrum = Spectrum(
        flux=np.linspace(1, 2, 50) * u.Jy,
        spectral_axis=np.linspace(500, 600, 50) * u.nm,
        uncertainty=StdDevUncertainty(np.full(50, 0.1)),
    )
    for format in ("tabular-fits",):
        path = tmp_path / f"{format}.fits"
        spectrum.write(path, format=format)
        found = readers.read(path)
        assert found.flux.value == pytest.approx(spectrum.flux.value)
        assert found.spectral_axis.to_value(u.AA) == pytest.approx(np.linspace(5000, 6000, 50))
        assert found.uncertainty.array == pytest.approx(100)


@settings(**FREE)
@given(
    kind=st.sampled_from([StdDevUncertainty, VarianceUncertainty, InverseVariance]),
    unit=st.sampled_from([FLAM, CGS, u.Jy, u.mJy]),
    other=st.sampled_from([None, FLAM, CGS, u.mJy]),
)
def test_uncertainties_in_another_unit_are_converted(kind, unit, other):
    wave = np.linspace(4000, 8000, 60) * u.AA
    power = {StdDevUncertainty: 1, VarianceUncertainty: 2, InverseVariance: -2}[kind]
    sigma = np.full(60, 0.1) * unit
    theirs = unit if other is None else other
    values = sigma.to_value(theirs, u.spectral_density(wave)) ** power
    own = assemble.Errors(values, {1: "sigma", 2: "variance", -2: "ivar"}[power], theirs**power)
    assert assemble.in_flux_unit(own, unit, wave.value) == pytest.approx(100, rel=1e-6)
    if theirs.is_equivalent(unit):  # astropy refuses the rest itself
        spectrum = Spectrum(
            flux=np.ones(60) * unit,
            spectral_axis=wave,
            uncertainty=kind(values, unit=theirs**power),
        )
        assert readers.inverse_variance(spectrum) == pytest.approx(100, rel=1e-6)
        (found,) = readers.read_all(spectrum)
        assert found.uncertainty.array == pytest.approx(100, rel=1e-6)


def test_spectra_of_any_kind_are_taken_apart():
    wave = np.linspace(4000, 5000, 60) * u.AA
    two = Spectrum(flux=np.arange(1.0, 121).reshape(2, 60) * u.one, spectral_axis=wave)
    found = readers.read_all(two)
    assert [f.meta["row"] for f in found] == [0, 1]
    assert found[1].flux.value[0] == 61
    listed = readers.read_all(SpectrumList([found[0], found[1]]))
    assert [f.meta["row"] for f in listed] == [0, 1]


def test_names_in_headers_are_data(tmp_path):
    header, _ = linear(100, OBJECT="../../etc/x")
    found = readers.read(survey_files.image(tmp_path / "a.fits", np.ones(100), header))
    assert found.meta["object"] == "../../etc/x"
    assert headers.plain("a\x00\nb" + "c" * 200) == "ab" + "c" * 78


def test_cards_that_cannot_be_parsed_do_not_spoil_a_file(tmp_path):
    header, _ = linear(100, APNUM1="1 0")
    path = survey_files.image(tmp_path / "a.fits", np.ones(100), header)
    content = path.read_bytes().replace(b"APNUM1  = '1 0     '", b"APNUM1  = 1 0       ")
    path.write_bytes(content)
    assert len(readers.read(path).flux) == 100


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "cases").exists(), reason="the real cases are not here")
def test_real_cases_are_read():
    found = {
        path.name: readers.read_all(path) for path in sorted((SHARED / "cases").glob("*.fit*"))
    }
    assert len(found) > 15
    for name, spectra in found.items():
        for spectrum in spectra:
            assert (~spectrum.mask).sum() > 400, name
    assert found["eso_one_row.fits"][0].meta["medium"] == "air"
    assert found["wcs_awav.fits"][0].meta["medium"] == "air"
    for name in ("sdssv_spec.fits", "sample_sdss.fits", "spec-55862-B6212_sp06-003.fits"):
        assert found[name][0].meta["medium"] == "vacuum"
        native.onto_grid(found[name][0])
    assert len(found["mastar_two_rows.fits"]) == 2
    assert "medium" not in found["whole.fits"][0].meta


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "real").exists(), reason="the real spectra are not here")
@pytest.mark.parametrize(
    "folder", ["lamost_dr10", "lamost_dr10_more", "lamost_dr8_pairs", "miles", "stelib", "highres"]
)
def test_real_spectra_are_read(folder):
    for path in sorted((SHARED / "real" / folder).glob("*.fits*"))[::10]:
        spectrum = readers.read(path)
        assert (~spectrum.mask).sum() > 1000, path.name
        lamost = folder.startswith("lamost")
        assert spectrum.meta.get("medium") == ("vacuum" if lamost else None)
        assert (spectrum.uncertainty is not None) == lamost


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "real").exists(), reason="the real spectra are not here")
def test_odd_files_are_read_or_refused_clearly():
    answers = {}
    for path in sorted((SHARED / "real" / "odd").iterdir()):
        try:
            answers[path.name] = readers.read(path).meta["survey"]
        except ValueError as error:
            answers[path.name] = str(error)
    assert answers["coadd-special-dark-27247.fits.gz"] == "DESI"
    assert answers["spec-0266-51602-0031.fits"] == "SDSS"
    assert "medium-resolution" in answers["med-58408-TD230151N343645T01_sp01-015.fits"]
    assert "layout is not known" in answers["redrock-special-dark-27247.fits.gz"]
    assert not any("download" in text for text in answers.values())
