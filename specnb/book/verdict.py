"""The page of the book that answers the plan, written from ``results/*/*.json`` alone.

Of every result the run of the largest profile counts. A result that is not there is shown as missing; one from before
the weights that it depends on were last changed is shown as stale.
"""

import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from specnb import storage
from specnb.book import verdict_rows, verdict_world
from specnb.book.verdict_without import WITHOUT

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


def newest(folder, source):
    """Profile and content of the result that counts, or (None, None)."""
    for profile in PROFILES:
        path = Path(folder) / profile / f"{source}.json"
        if path.exists():
            return profile, storage.read(path)
    return None, None


@cache
def changed_since(commit, weights):
    """Which of the models that ship have changed since a commit; None if git cannot tell."""
    paths = [f"specnb/assets/{name}.safetensors" for name in weights]
    command = [
        "git",
        "-C",
        str(storage.ROOT),
        "diff",
        "--name-only",
        str(commit).removesuffix("-dirty"),
        "--",
        *paths,
    ]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
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
    ours, limit : str
        As of :class:`specnb.book.verdict_rows.Answer`.
    made : dict
        Provenance with ``profile``; empty if there is no result.
    """

    verdict: str
    ours: str = ""
    limit: str = ""
    made: dict = field(default_factory=dict)

    @property
    def origin(self):
        """Profile, day, device and commit."""
        if not self.made:
            return ""
        m = self.made
        return (
            f"{m['profile']}, {m['date'][:10]}, {m['device'].split(',')[0]}, {str(m['commit'])[:7]}"
        )


def judge(row, folder):
    """The :class:`Finding` of a row."""
    profile, numbers = newest(folder, row.source)
    if numbers is None:
        return Finding("*missing*")
    try:
        answer = row.read(numbers)
    except (KeyError, IndexError, StopIteration):
        return Finding("*stale: the file lacks what is asked*")
    made = numbers["provenance"]
    changed = changed_since(made["commit"], row.weights)
    verdict = "open" if answer.plan is None else "yes" if answer.plan else "no"
    if answer.plan and not answer.aim:
        verdict = "yes, aim missed"
    verdict = f"**{verdict}**"
    if changed:
        verdict += f"; *stale: {', '.join(changed)} changed since*"
    return Finding(verdict, answer.ours, answer.limit, {**made, "profile": profile})


def answers(rows, folder):
    """Rows by what answers them, which a question and an experiment may share: (names, first row, Finding) of each."""
    shared = {}
    for row in rows:
        shared.setdefault(row.read, []).append(row)
    return [
        (", ".join(dict.fromkeys(row.name for row in same)), same[0], judge(same[0], folder))
        for same in shared.values()
    ]


def line(names, row, found):
    """One row of the table."""
    link = f"{{doc}}`{names} <../notebooks/{row.notebook}>`"
    return f"| {link} | {found.verdict} | {row.what} | {row.plan} |"


def item(names, row, found):
    """One row in numbers."""
    limit = f" Beside it: {found.limit}." if found.limit not in ("", "—") else ""
    result = f"{found.ours}.{limit} " if found.ours else ""
    origin = f" [{found.origin}]" if found.origin else ""
    return f"- **{names}**, *{row.what}* (the plan: {row.plan}): {result}Verdict: {found.verdict}{origin}"


def opening(notebook, folder):
    """What came out of a notebook (its name without ending), as Markdown; empty if no row is about it."""
    rows = answers([row for row in ROWS if row.notebook == notebook], folder)
    head = "**Result and verdict**, of the largest run that is kept. Below it, the run that is named at the page's end."
    return head + "\n\n" + "\n".join(item(*row) for row in rows) + "\n" if rows else ""


def render(folder=None):
    """The page as Markdown, of results in ``folder`` (default: those of the checkout)."""
    folder = storage.ROOT / "results" if folder is None else folder
    rows = answers(ROWS, folder)
    parts = [HEAD + "\n".join(line(*row) for row in rows), NUMBERS, *(item(*row) for row in rows)]
    return "\n".join(parts) + "\n" + without_diffusion(folder)


def without_diffusion(folder):
    """Where diffusion does not help, in numbers."""
    found = {source: newest(folder, source)[1] for source in WITHOUT}
    parts = []
    for source, say in WITHOUT.items():
        try:
            parts.append(say(found[source]) if found[source] else f"*{source}: missing*")
        except (KeyError, IndexError):
            parts.append(f"*{source}: stale*")
    return "\n## Where diffusion does not help\n\n" + "\n\n".join(parts) + "\n"


def write(folder=None, output=Path("book/verdict.md")):
    """Write the page; returns its path."""
    storage.write_bytes(output, render(folder).encode())
    return Path(output)
