"""The page of the book that answers the plan, written from ``results/*/*.json`` alone.

Of every result the run of the largest profile counts. A result that is not there, or does not hold what a row is about,
is shown as missing; one from before the weights that it depends on were last changed, or whose file is not what the
experiment writes today, is shown as stale.
"""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specnb import storage
from specnb.book import verdict_rows, verdict_world
from specnb.book.judging import Missing, Row
from specnb.book.verdict_without import WITHOUT
from specnb.experiments import files
from specnb.experiments.results import Provenance

ROWS = (*verdict_rows.ROWS, *verdict_world.ROWS)
PROFILES = ("full", "cpu", "quick")
"""What counts, best first; smoke runs prove nothing."""

HEAD = """# Results at a glance

Every experiment (MVP), question (Q) and hypothesis (H) of the plan, answered by the runs of this book; what the plan
does not have comes last. This page is written by `specnb verdict` from the files in `results/`, and every number on it
is read from there. *Verdict* is the plan's own criterion, or ours where it has none; *aim missed* means that it is met,
and what this project set out for is not; *open* that the intervals do not decide: the run had too few stars.

| | verdict | question | the plan |
|---|---|---|---|
"""

NUMBERS = """
## In numbers

Numbers in brackets are 95 % intervals; in square brackets at the end stand profile, day, device and commit of the run.

"""


@dataclass(frozen=True)
class Result:
    """A results file that counts: its profile, what it holds, where it comes from."""

    profile: str
    numbers: Any
    made: Provenance

    @property
    def origin(self) -> str:
        """Name profile, day, device and commit."""
        m = self.made
        return f"{self.profile}, {m.date[:10]}, {m.device.split(',')[0]}, {str(m.commit)[:7]}"


def newest(folder: Path | str, source: str) -> Result | None:
    """Read the result that counts; None if there is none.

    Raises
    ------
    ValueError
        The file is not what the experiment writes today.
    """
    for profile in PROFILES:
        path = Path(folder) / profile / f"{source}.json"
        if path.exists():
            return Result(profile, *files.read(path))
    return None


@cache
def changed_since(commit: str | None, weights: tuple[str, ...]) -> list[str] | None:
    """List the models that ship and have changed since a commit; None if git cannot tell."""
    if commit is None or not storage.is_clone():
        return None
    paths = [f"specnb/assets/{name}.safetensors" for name in weights]
    try:
        listed = storage.git("diff", "--name-only", commit.removesuffix("-dirty"), "--", *paths)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [Path(line).stem for line in listed.splitlines()]


@dataclass(frozen=True)
class Finding:
    """A row and what the results say of it.

    Attributes
    ----------
    verdict : str
        Markdown; a word in italics if there is nothing to judge.
    what : str
        What was measured.
    ours, limit : str
        As of :class:`specnb.book.judging.Answer`.
    origin : str
        Profile, day, device and commit; empty if there is no result.
    """

    verdict: str
    what: str
    ours: str = ""
    limit: str = ""
    origin: str = ""


def judge(row: Row, folder: Path | str) -> Finding:
    """Judge a row by the results in a folder."""
    stale = "*stale: the file lacks what is asked ({})*"
    try:
        found = newest(folder, row.source)
    except ValueError as error:
        return Finding(stale.format(_told(error, folder)), row.what)
    if found is None:
        return Finding("*missing*", row.what)
    try:
        answer = row.read(found.numbers)
    except Missing as error:
        return Finding(f"*missing: {error}*", row.what, origin=found.origin)
    except (KeyError, IndexError, ValueError) as error:
        return Finding(stale.format(_told(error, folder)), row.what)
    changed = changed_since(found.made.commit, row.weights)
    verdict = "open" if answer.plan is None else "yes" if answer.plan else "no"
    if answer.plan and not answer.aim:
        verdict = "yes, aim missed"
    verdict = f"**{verdict}**"
    if changed:
        verdict += f"; *stale: {', '.join(changed)} changed since*"
    return Finding(verdict, answer.what or row.what, answer.ours, answer.limit, found.origin)


def _told(error: Exception, folder: Path | str) -> str:
    """Say what is wrong with a file, without the folder it lies in."""
    return str(error).replace(f"{folder}/", "").replace("|", "or")


def answers(rows: Iterable[Row], folder: Path | str) -> list[tuple[str, Row, Finding]]:
    """Judge rows by what answers them, which a question and an experiment may share: (names, first row, Finding)."""
    shared: dict[Any, list[Row]] = {}
    for row in rows:
        shared.setdefault(row.read, []).append(row)
    return [
        (", ".join(dict.fromkeys(row.name for row in same)), same[0], judge(same[0], folder))
        for same in shared.values()
    ]


def line(names: str, row: Row, found: Finding) -> str:
    """Write one row of the table."""
    link = f"{{doc}}`{names} <../notebooks/{row.notebook}>`"
    return f"| {link} | {found.verdict} | {found.what} | {row.plan} |"


def item(names: str, row: Row, found: Finding) -> str:
    """Write one row in numbers."""
    limit = f" Beside it: {found.limit}." if found.limit not in ("", "—") else ""
    result = f"{found.ours}.{limit} " if found.ours else ""
    origin = f" [{found.origin}]" if found.origin else ""
    return f"- **{names}**, *{found.what}* (the plan: {row.plan}): {result}Verdict: {found.verdict}{origin}"


def opening(notebook: str, folder: Path | str) -> str:
    """Say what came out of a notebook (its name without ending), as Markdown; empty if no row is about it."""
    rows = answers([row for row in ROWS if row.notebook == notebook], folder)
    head = "**Result and verdict**, of the largest run that is kept. Below it, the run that is named at the page's end."
    return head + "\n\n" + "\n".join(item(*row) for row in rows) + "\n" if rows else ""


def render(folder: Path | str | None = None) -> str:
    """Write the page as Markdown, of results in ``folder`` (default: those of the checkout)."""
    folder = storage.ROOT / "results" if folder is None else folder
    rows = answers(ROWS, folder)
    parts = [HEAD + "\n".join(line(*row) for row in rows), NUMBERS, *(item(*row) for row in rows)]
    return "\n".join(parts) + "\n" + without_diffusion(folder)


def without_diffusion(folder: Path | str) -> str:
    """Say where diffusion does not help, in numbers."""
    parts = []
    for source, say in WITHOUT.items():
        try:
            found = newest(folder, source)
            parts.append(say(found.numbers) if found else f"*{source}: missing*")
        except (KeyError, IndexError, ValueError) as error:
            parts.append(f"*{source}: stale ({_told(error, folder)})*")
    return "\n## Where diffusion does not help\n\n" + "\n\n".join(parts) + "\n"


def write(folder: Path | str | None = None, output: Path | str = Path("book/verdict.md")) -> Path:
    """Write the page; returns its path."""
    storage.write_bytes(output, render(folder).encode())
    return Path(output)
