"""Text with columns: ECSV, and CSV with units behind the names (``wave [nm]``) and comments (``# medium: air``).

Columns are found by their names, as in :mod:`specnb.observing.layouts_general`. Nothing in such a file is run.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from astropy.table import Table
from specutils import Spectrum

from specnb.observing.layouts import UNKNOWN
from specnb.observing.layouts_general import Column, from_columns, is_spectrum, roles, unit_behind

SAID = ("medium", "resolution", "frame", "object", "survey")
"""What text files may say in comments (``# medium: air``) or, as ECSV, in their meta."""


def read_text(path: Path) -> Spectrum:
    """Read ECSV or CSV.

    Parameters
    ----------
    path : pathlib.Path
        Its ending says whether it is packed (``.gz``), its first line whether it is ECSV.

    Returns
    -------
    specutils.Spectrum

    Raises
    ------
    ValueError
        No text, no table, or no columns of wavelengths and flux.
    """
    raw = path.read_bytes()
    content = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig", "replace")
    if "\0" in content[:10_000]:
        raise ValueError("the file is no text, whatever its name says")
    said: dict[str, Any] = {}
    if content.startswith("# %ECSV"):
        table = Table.read(content, format="ascii.ecsv")
        said |= {str(key).lower(): value for key, value in table.meta.items()}
    else:
        lines = content.splitlines()
        for line in lines:
            if line.startswith("#") and ":" in line.replace("=", ":"):
                key, value = line.lstrip("# ").replace("=", ":", 1).split(":", 1)
                if key.strip().lower() in SAID:
                    said[key.strip().lower()] = value.strip()
        body = [line for line in lines if line.strip() and not line.startswith("#")]
        if len(body) < 3:
            raise ValueError(f"the file has {len(body)} lines, no table with a header; {UNKNOWN}")
        table = Table.read(body, format="ascii.csv")
    return text_table(table, said)


def text_table(table: Any, said: Mapping[str, Any]) -> Spectrum:
    """Make a spectrum of a table that was read from text.

    Parameters
    ----------
    table : astropy.table.Table
    said : mapping
        What the file says beside the columns: medium, resolution, frame, object.

    Returns
    -------
    specutils.Spectrum

    Raises
    ------
    ValueError
        No columns of wavelengths and flux.
    """
    every = []
    for name in table.colnames:
        column = table[name]
        unit = column.unit or unit_behind(name)
        every.append(Column(name, unit, str(column.info.description or "")))
    found = roles(every)
    if not is_spectrum(found):
        raise ValueError(
            f"columns {table.colnames[:8]} hold no wavelengths and flux by their names (wave or loglam, flux, err or "
            f"ivar); {UNKNOWN}"
        )
    return from_columns(found, lambda column: table[column.name], dict(said))
