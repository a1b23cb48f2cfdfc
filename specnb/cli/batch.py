"""A run over many files: what is given, what is finished, what is left, and what is said of it."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import typer

from specnb.cli import inputs, pool, tables, work
from specnb.cli.inputs import Found, Source
from specnb.cli.journal import Journal
from specnb.cli.options import UsageError

FEW = 20
"""Spectra up to which each is said on a line of its own."""

SAID = (("teff", "Teff", "K"), ("logg", "log g", ""), ("m_h", "[M/H]", ""), ("rv", "RV", "km/s"))
"""Labels on such a line."""


def settings(
    medium: str | None,
    resolution: float | None,
    snr: float | None,
    seed: int,
    device: str = "cpu",
) -> work.Settings:
    """Check options and put them together; UsageError names the option."""
    from importlib.metadata import version

    if medium not in (None, "air", "vacuum"):
        raise UsageError(f"--medium is {medium!r}; say air or vacuum")
    for name, value in (("resolution", resolution), ("snr", snr)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{name} is {value:g}; give a positive number")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device is {device!r}; say cpu or cuda")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--device is 'cuda', but torch sees no GPU here; leave it out")
    return work.Settings(medium, resolution, snr, seed, version("specnb"), device)


class Stopped(KeyboardInterrupt):
    """The process was asked to end (SIGTERM, SIGHUP)."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into :class:`Stopped`."""

    def stop(number: int, _: Any) -> None:
        raise Stopped

    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    try:
        before = {name: signal.signal(name, stop) for name in names}
    except ValueError:  # not in the main thread
        before = {}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _say(text: str, **style: Any) -> None:
    typer.secho(text, err=True, **style)


@dataclass
class Job:
    """A command on many files.

    Attributes
    ----------
    table : pathlib.Path
        The table that is written at the end.
    folder : pathlib.Path or None
        Of denoised spectra; None if there are labels only.
    settings : work.Settings
    workers : int
    overwrite : bool
    """

    table: Path
    folder: Path | None
    settings: work.Settings
    workers: int = 1
    overwrite: bool = False

    def run(self, arguments: list[str], progress: bool, as_json: bool) -> None:
        """Do it; exit status 1 if anything could not be done."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        tables.check(self.table)
        from specnb.observing import endings

        found = inputs.find(arguments, endings.FITS, self.folder or self.table)
        if found.ignored:
            kinds = ", ".join(f"{n} {kind}" for kind, n in found.ignored.most_common(8))
            _say(f"passed by in folders: {kinds}")
        if not found.sources:
            reasons = "; ".join(found.bad.values())
            raise UsageError(f"no input found{': ' + reasons if reasons else ''}")
        journal = Journal(self.table)
        journal.open(self.settings)
        keep = True
        try:
            with _stoppable():
                rows, bad, note = self._run(found, journal, progress)
            keep = False
        except KeyboardInterrupt as end:
            done = sum(map(journal.finished, found.sources))
            _say(
                f"stopped: {done} of {len(found.sources)} files are finished; the same command goes on"
            )
            raise typer.Exit(143 if isinstance(end, Stopped) else 130) from None
        finally:
            journal.close(keep)
        self._end(rows, bad, as_json, note)

    def _run(
        self, found: Found, journal: Journal, progress: bool
    ) -> tuple[Any, dict[str, str], str]:
        """Return the rows of the files, what failed and why, and what is to be said of it."""
        old = self._old(found, journal)
        if old is not None and self.folder is None:  # made of the same files already
            return old, _listed(self.table) or found.bad, "is there already; give --overwrite"
        if journal.others:
            _say(f"{journal.others} files were finished with other settings; they are not used")
        kept = self._finished_before(found, journal, old)
        done = [s for s in found.sources if s.name in kept or journal.finished(s)]
        if done:
            _say(
                f"{len(done)} of {len(found.sources)} files are finished already"
                + (" (give --overwrite to compute them again)" if kept else "")
            )
        self._compute(found.sources, {s.name for s in done}, journal, progress)
        before = {} if old is None else _failed_rows(self.table, kept)
        bad = found.bad | before | journal.failed(found.sources)
        new = journal.table(found.sources)
        whole = self._joined(new, old, found.sources, journal)
        if whole is not None:
            tables.write(whole, self.table, self.settings.cards() | {"MADEOF": self._mark(found)})
        _write_failed(self.table, bad)
        if whole is not None and self.folder is not None:  # of this run's files
            keys = {s.key for s in found.sources}
            whole = whole[[str(key) in keys for key in whole["key"]]]
        return whole, bad, ""

    def _mark(self, found: Found) -> str:
        keys = sorted(s.key for s in found.sources) + sorted(found.bad)
        return f"{inputs.short_hash('|'.join(keys))}-{self.settings.mark()}"

    def _old(self, found: Found, journal: Journal) -> Any:
        """Read the table that is there.

        A table of labels is returned if it was made of the same files with the same settings, and refused otherwise;
        the index of a folder is returned.
        """
        if not self.table.exists():
            return None
        old = tables.read(self.table)
        if self.folder is not None:
            ours = old is not None and {"file", "output", "key", "settings"} <= set(old.colnames)
            if not ours and not self.overwrite:
                raise ValueError(f"{str(self.table)!r} is no index of ours; give another folder")
            return old if ours else None
        if self.overwrite:
            when = datetime.fromtimestamp(self.table.stat().st_mtime)
            rows = "a file" if old is None else f"{len(old)} rows"
            _say(f"replaces {str(self.table)!r}: {rows}, of {when:%Y-%m-%d %H:%M}")
            return None
        if old is not None and old.meta.get("MADEOF") == self._mark(found):
            return old
        raise ValueError(f"{str(self.table)!r} is there already; give --overwrite or another name")

    def _finished_before(self, found: Found, journal: Journal, old: Any) -> set[str]:
        """Name the files whose products are in the folder, of the same settings; choose targets of the others."""
        if self.folder is None:
            return set()
        known: dict[str, tuple[str, str, str]] = {}
        owner: dict[str, str] = {}
        for row in [] if old is None else old:
            path = inputs.path_of(str(row["key"]))
            known[path] = str(row["key"]), str(row["settings"]), str(row["target"])
            owner[str(row["target"]).casefold()] = path
        kept, stale = set(), []
        for i, source in enumerate(found.sources):
            path = inputs.path_of(source.key)
            key, mark, target = known.get(path, ("", "", ""))
            if not target and owner.get(source.target.casefold(), path) != path:
                target = inputs.apart(source).target
            target = journal.target(source) or target or source.target
            found.sources[i] = source = replace(source, target=target)
            there = work.product(self.folder, target)
            whole = there.exists() or any(work.rows_of(self.folder, target))
            if not whole:
                journal.entries.pop(source.key, None)
            elif (key, mark) == (source.key, self.settings.mark()) and not self.overwrite:
                kept.add(source.name)
            elif not journal.finished(source):
                ours = there.exists() and work.maker(there) == work.made_of(source, self.settings)
                if not ours or self.overwrite:
                    stale.append(there)
        if stale and not self.overwrite:
            raise ValueError(
                f"{len(stale)} of the products are there already, of other files or settings (the first: "
                f"{str(stale[0])!r}); give --overwrite or another folder"
            )
        if stale:
            _say(f"replaces {len(stale)} products in {str(self.folder)!r}")
        return kept

    def _compute(
        self, sources: list[Source], done: set[str], journal: Journal, progress: bool
    ) -> None:
        """Compute what is left. Batches are cut from the whole list, so that they do not depend on what is left."""
        from tqdm.auto import tqdm

        size = min(work.CHUNK, -(-len(sources) // self.workers))
        cut = (sources[i : i + size] for i in range(0, len(sources), size))
        batches = [[s for s in batch if s.name not in done] for batch in cut]
        batches = [batch for batch in batches if batch]
        if not batches:
            return
        workers = min(self.workers, len(batches))
        bar = tqdm(
            total=len(sources), initial=len(done), unit="file", smoothing=0.1, dynamic_ncols=True,
            desc="denoising" if self.folder else "inferring", disable=False if progress else None,
        )  # fmt: skip
        records = pool.run(batches, self.settings, self.folder, workers, self.overwrite)
        with bar, closing(records):
            for record in records:
                journal.add(record, self.settings)
                bar.update(len(record["files"]))

    def _joined(self, new: Any, old: Any, sources: list[Source], journal: Journal) -> Any:
        """Round new rows, and put them behind the old ones of a folder that stay."""
        from astropy.table import vstack

        if new is not None:
            new = tables.rounded(new)
            if (new["row"] < 0).all():
                del new["row"]
        if self.folder is None:
            return new
        if new is not None:
            said = {s.name: journal.entries[s.key] for s in sources if s.key in journal.entries}
            for column in ("target", "key", "settings"):
                new[column] = [said[str(name)][column] for name in new["file"]]
        if old is None or new is None:
            return old if new is None else new
        again = {inputs.path_of(str(key)) for key in new["key"]}
        stays = [inputs.path_of(str(key)) not in again for key in old["key"]]
        return vstack([old[stays], new], metadata_conflicts="silent")

    def _end(self, table: Any, bad: dict[str, str], as_json: bool, note: str) -> None:
        """Say what was done and what was not; exit status 1 if anything was not."""
        rows = [] if table is None else list(table)
        if as_json:
            done = [self._plain(row) for row in rows]
            typer.echo(json.dumps({"done": done, "failed": bad}, indent=1))
        elif note:
            typer.echo(f"{str(self.table)!r} of the same files and settings {note}")
        elif len(rows) <= FEW:
            for row in rows:
                typer.echo(self._line(row))
        else:
            doubted = sum(not row["good"] for row in rows) if "good" in table.colnames else 0
            typer.echo(f"{len(rows)} spectra in {str(self.table)!r}, {doubted} of them flagged")
        if bad:
            if not as_json:
                for reason in list(bad.values())[:FEW]:
                    _say(f"failed: {reason}", fg="red")
                _say(f"{len(bad)} failed: {str(_failed_path(self.table))!r} lists them", fg="red")
            raise typer.Exit(1)

    def _output(self, row: Any) -> str:
        return str(self.table if self.folder is None else self.folder / str(row["output"]))

    def _line(self, row: Any) -> str:
        where = f"{row['file']}{_row(row)} -> {self._output(row)}"
        labels = []
        for name, words, unit in SAID:
            if f"{name}_50" in row.colnames:
                low, middle, high = (row[f"{name}_{q}"] for q in (16, 50, 84))
                labels.append(f"{words} {middle:g} [{low:g}, {high:g}] {unit}".rstrip())
        said = str(row["warnings"]) if "warnings" in row.colnames else ""
        note = f"  ({said})" if said and said != "--" else ""
        return f"{where}\n  {', '.join(labels)}{note}" if labels else where + note

    def _plain(self, row: Any) -> dict[str, Any]:
        """Make what JSON says of a row."""
        said = str(row["warnings"]) if "warnings" in row.colnames else ""
        out: dict[str, Any] = {"file": str(row["file"]), "output": self._output(row)}
        out |= {"warnings": [text for text in said.split("; ") if text not in ("", "--")]}
        if self.folder is None:
            out["labels"] = {
                name: _number(row[name])
                for name in row.colnames
                if name not in ("file", "warnings")
            }
        return out


def _row(row: Any) -> str:
    return f", row {row['row']}" if "row" in row.colnames and row["row"] >= 0 else ""


def _number(value: Any) -> Any:
    """Turn a number of a table into one of JSON; what is not finite becomes null."""
    import numpy as np

    plain = None if value is np.ma.masked else value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain


def _failed_path(table: Path) -> Path:
    return table.with_name(f"{table.stem}.failed.ecsv")


def _write_failed(table: Path, bad: dict[str, str]) -> None:
    """List what failed, with reasons, beside the table; no list if nothing did."""
    from astropy.table import Table

    path = _failed_path(table)
    if bad:
        columns = {"file": list(bad), "reason": list(bad.values())}
        tables.write(Table(columns), path)
    else:
        path.unlink(missing_ok=True)


def _listed(table: Path) -> dict[str, str]:
    """Read the list of what failed when a table was made: file (and row) → reason."""
    listed = tables.read(_failed_path(table))
    if listed is None or "reason" not in listed.colnames:
        return {}
    return {str(row["file"]): str(row["reason"]) for row in listed}


def _failed_rows(table: Path, names: set[str]) -> dict[str, str]:
    """Say what failed of files of many spectra whose other products are there."""
    said = _listed(table).items()
    return {name: why for name, why in said if name.rpartition(", row ")[0] in names}
