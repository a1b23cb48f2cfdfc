"""Write the tables of known labels that ``specnb emulator correct`` takes, of libraries whose files do not say enough.

    python tools/library_labels.py MILES_FOLDER SUN_FILE -o FOLDER

MILES: paramsMILES_v9.1.txt beside the spectra. The Sun: any spectrum of it in
air at high resolution (HARPS).
"""

import argparse
import re
from pathlib import Path

from astropy.table import Table

NUMBER = re.compile(r"_m(\d{4})")
ROW = re.compile(r"^.{23}(\d{4})\b.*?\s(\d{4,5})\s+(-?\d+\.\d+)\s+(-?\d+\.\d+)\s")


def miles(folder: Path) -> Table:
    """List the stars of MILES that lie in a folder and have all three labels."""
    known = {}
    for line in (folder / "paramsMILES_v9.1.txt").read_text(errors="replace").splitlines():
        if found := ROW.match(line):  # neither a heading nor a star without labels
            known[found[1]] = [float(value) for value in found.groups()[1:]]
    rows = []
    for path in sorted(folder.glob("MILES_*")):
        found = NUMBER.search(path.name)
        if found and (values := known.get(found[1])):
            rows.append((str(path.resolve()), *values, "air", 2.5, 1000.0))
    return Table(rows=rows, names=["file", "teff", "logg", "feh", "medium", "fwhm", "snr"])


def sun(path: Path) -> Table:
    """Make the table of a spectrum of the Sun."""
    row = (str(path.resolve()), 5772.0, 4.438, 0.0, "air", 115000.0, 1000.0)
    return Table(rows=[row], names=["file", "teff", "logg", "feh", "medium", "resolution", "snr"])


def main() -> None:
    """Write miles.csv and sun.csv."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("miles", type=Path)
    parser.add_argument("sun", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path())
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, table in (("miles", miles(options.miles)), ("sun", sun(options.sun))):
        table.write(options.output / f"{name}.csv", overwrite=True)
        print(f"{options.output / name}.csv: {len(table)} stars")


if __name__ == "__main__":
    main()
