"""What is finished, beside the output while it is made: ``OUTPUT.partial/``, a small JSON file a batch.

A file counts as finished if its path, size, time of change and the settings are those of an entry. Batches are written
whole or not at all, so that whatever ends a run costs the batches in hand. One run at a time: the folder is locked.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from specnb.cli.inputs import Source
from specnb.cli.options import UsageError
from specnb.cli.work import Record, Settings


class Journal:
    """The batches that are finished.

    Parameters
    ----------
    table : pathlib.Path
        The output that they are joined to.

    Attributes
    ----------
    entries : dict
        Key of a file → what its record says, and where: ``batch`` and ``first``, its first row there.
    """

    def __init__(self, table: Path):
        self.folder = table.with_name(table.name + ".partial")
        self.entries: dict[str, dict[str, Any]] = {}
        self.batches: list[str] = []
        self.others = 0
        self._lock: Any = None

    def open(self, settings: Settings) -> None:
        """Make the folder, lock it, and read what is finished under these settings.

        Raises
        ------
        UsageError
            The folder cannot be written, or another run writes to it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise UsageError(
                f"{str(self.folder.parent)!r} cannot be written: {error.strerror}; give another -o"
            ) from error
        self._hold()
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = json.loads(path.read_text("utf-8"))
                self._take(record, settings)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # cut by a crash of the machine: computed again

    def _hold(self) -> None:
        try:
            import fcntl

            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            return  # no locks on this system
        except BlockingIOError as error:
            self._lock.close()
            self._lock = None
            raise UsageError(f"another run writes to {str(self.folder)!r}; wait for it") from error
        except OSError:
            return  # no locks on this file system

    def _take(self, record: Record, settings: Settings) -> None:
        first = 0
        batch = len(self.batches)
        self.batches.append(record["table"])
        for said in record["files"]:
            if said["settings"] == settings.mark():
                self.entries[said["key"]] = said | {"batch": batch, "first": first}
            else:
                self.others += 1
            first += said["rows"]

    def add(self, record: Record, settings: Settings) -> None:
        """Keep a batch."""
        from specnb import storage

        text = json.dumps(record, ensure_ascii=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:20]
        storage.write_bytes(self.folder / f"{name}.json", text.encode())
        self._take(record, settings)

    def finished(self, source: Source) -> bool:
        """Tell whether a file has been computed; one that failed as a whole is tried again."""
        said = self.entries.get(source.key)
        return said is not None and "" not in said["failed"]

    def target(self, source: Source) -> str | None:
        """Return where the product of a file went."""
        said = self.entries.get(source.key)
        return said["target"] if said else None

    def failed(self, sources: list[Source]) -> dict[str, str]:
        """List what could not be processed: file (and row) → reason."""
        out = {}
        for source in sources:
            for row, why in self.entries.get(source.key, {"failed": {}})["failed"].items():
                out[f"{source.name}, row {row}" if row else source.name] = why
        return out

    def table(self, sources: list[Source]) -> Any:
        """Join the rows of sources in their order; None if there are none."""
        import numpy as np
        from astropy.table import Table, vstack

        parts, starts, n = [], {}, 0
        for batch, text in enumerate(self.batches):
            if text:
                starts[batch] = n
                parts.append(Table.read(text, format="ascii.ecsv"))
                n += len(parts[-1])
        rows: list[int] = []
        for source in sources:
            said = self.entries.get(source.key)
            if said and said["rows"]:
                first = starts[said["batch"]] + said["first"]
                rows += range(first, first + said["rows"])
        if not rows:
            return None
        return vstack(parts, metadata_conflicts="silent")[np.array(rows)]

    def close(self, keep: bool) -> None:
        """Unlock; remove the folder unless it is kept."""
        if self._lock is not None:
            if not keep:
                shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()
            self._lock = None
        if keep and self.folder.is_dir() and not any(self.folder.glob("*.json")):
            for path in self.folder.iterdir():
                path.unlink(missing_ok=True)
            os.rmdir(self.folder)
