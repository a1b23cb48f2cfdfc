"""Tables as files: rounded to what is known, in the format that the name's ending says."""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specnb import extras
from specnb.cli.options import UsageError
from specnb.cli.work import as_ascii

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table

FORMATS = {".ecsv": "ascii.ecsv", ".fits": "fits", ".parquet": "parquet", ".csv": "ascii.csv"}
"""Ending → format of ``astropy.table``, each of which ``Table.read`` opens."""

EXACT = re.compile(r"(ra|dec|l|b|j?d|mjd|time|wave.*|z)", re.IGNORECASE)
"""Columns whose digits are not ours to cut."""

DIGITS = 5
"""Significant digits of a number that has no error."""


def check(path: Path) -> None:
    """Refuse a table that could not be written.

    Raises
    ------
    UsageError
        A folder, or an ending that is not known.
    specnb.extras.MissingExtra
        Parquet without its library.
    """
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder; give a file, such as {path / 'labels.ecsv'}")
    if path.suffix not in FORMATS:
        raise UsageError(f"{str(path)!r} has no known ending; give one of {', '.join(FORMATS)}")
    if path.suffix == ".parquet":
        extras.need("pyarrow", extra="parquet", purpose="Writing Parquet")


def _round(values: "np.ndarray", decimals: "np.ndarray") -> "np.ndarray":
    """Round each number to its own number of decimals."""
    import numpy as np

    pairs = zip(values.tolist(), decimals.tolist(), strict=True)
    return np.array([round(x, d) if np.isfinite(x) else x for x, d in pairs], values.dtype)


def _decimals(size: "np.ndarray", digits: int) -> "np.ndarray":
    """Count the decimals that show so many digits of a number of this size."""
    import numpy as np

    known = np.isfinite(size) & (size > 0)
    power = np.floor(np.log10(np.where(known, size, 1)))
    return np.where(known, digits - 1 - power, DIGITS).astype(int)


def rounded(table: "Table") -> "Table":
    """Round quantiles to two digits of their error, other decimal numbers to five digits.

    Columns ``NAME_16``, ``NAME_50`` and ``NAME_84`` belong together, and ``NAME`` to ``NAME_err``.
    """
    import numpy as np

    def column(name: str) -> "np.ndarray":
        return np.ma.filled(np.ma.asarray(table[name], "f8"), np.nan)

    out = table.copy()
    for name in table.colnames:
        if table[name].dtype.kind != "f" or table[name].ndim != 1 or EXACT.fullmatch(name):
            continue
        base = re.sub(r"_(16|50|84|err)$", "", name)
        if {f"{base}_16", f"{base}_84"} <= set(table.colnames) and name != base:
            decimals = _decimals((column(f"{base}_84") - column(f"{base}_16")) / 2, 2)
        elif f"{base}_err" in table.colnames:
            decimals = _decimals(column(f"{base}_err"), 2)
        else:
            decimals = _decimals(np.abs(column(name)), DIGITS)
        mask = getattr(table[name], "mask", None)
        out[name][:] = _round(column(name), decimals)
        if mask is not None:
            out[name].mask = mask
    return out


def write(table: "Table", path: Path, meta: dict[str, Any] | None = None) -> None:
    """Write a table as a whole or not at all, in the format of its ending."""
    from specnb import storage

    out = table.copy()
    out.meta = {} if path.suffix == ".csv" else dict(meta or {})
    if path.suffix == ".parquet":
        scratch = path.with_name(f".{path.name}.tmp.parquet")
        out.write(scratch, format="parquet", overwrite=True)
        scratch.replace(path)
        return
    if path.suffix == ".fits":
        binary = io.BytesIO()
        for name in out.colnames:
            if out[name].dtype.kind == "U":
                out[name] = [as_ascii(text) for text in out[name]]
        out.write(binary, format="fits")
        storage.write_bytes(path, binary.getvalue())
        return
    text = io.StringIO()
    out.write(text, format=FORMATS[path.suffix])
    storage.write_bytes(path, text.getvalue().encode("utf-8"))


def read(path: Path) -> "Table | None":
    """Read a table that :func:`write` wrote; None if there is none that can be read."""
    from astropy.table import Table

    try:
        return Table.read(path, format=FORMATS[path.suffix])
    except Exception:  # anything may lie at this place
        return None
