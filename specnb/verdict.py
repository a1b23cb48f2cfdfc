"""The page of the book that answers the plan, written from ``results/*/*.json`` alone.

Of every result the run of the largest profile counts. A result that is not there is shown as missing; one from before
the weights that it depends on were last changed is shown as stale.
"""

import subprocess
from pathlib import Path

from specnb import results
from specnb.verdict_rows import ROWS
from specnb.verdict_without import WITHOUT

PROFILES = ("full", "cpu", "quick")
"""What counts, best first; smoke runs prove nothing."""

HEAD = """# Results at a glance

Every experiment (MVP), question (Q) and hypothesis (H) of the plan, answered by the runs of this book. This page is
written by `specnb verdict` from the files in `results/`; nothing on it is typed. Numbers in brackets are 95 %
intervals. *Verdict* is the plan's own criterion; *aim missed* means that it is met, and what this project set out for
is not; *open* that the interval does not decide.

:::{container} full-width
| | question | the plan | verdict | our result | the limit, or what else there is | from |
|---|---|---|---|---|---|---|
"""


def newest(folder, source):
    """Profile and content of the result that counts, or (None, None)."""
    for profile in PROFILES:
        path = Path(folder) / profile / f"{source}.json"
        if path.exists():
            return profile, results.read(path)
    return None, None


def changed_since(commit, weights):
    """Which of the models that ship have changed since a commit; None if git cannot tell."""
    paths = [f"specnb/assets/{name}.safetensors" for name in weights]
    command = ["git", "-C", str(results.ROOT), "diff", "--name-only", str(commit).removesuffix("-dirty"), "--", *paths]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return [Path(line).stem for line in listed.splitlines()]


def line(row, folder):
    """One row as Markdown."""
    link = f"{{doc}}`{row.notebook[:2]} <../notebooks/{row.notebook}>`"
    start = f"| **{row.name}** | {row.what} | {row.plan} "
    profile, numbers = newest(folder, row.source)
    if numbers is None:
        return f"{start}| *missing* | | | {link} |"
    try:
        answer = row.read(numbers)
    except (KeyError, IndexError, StopIteration):
        return f"{start}| *stale: the file lacks what is asked* | | | {link} |"
    made = numbers["provenance"]
    changed = changed_since(made["commit"], row.weights)
    verdict = "open: too few stars" if answer.plan is None else "yes" if answer.plan else "no"
    if answer.plan and not answer.aim:
        verdict = "yes, aim missed"
    if changed:
        verdict += f"; *stale: {', '.join(changed)} changed since*"
    origin = f"{link}, {profile}, {made['date'][:10]}, {made['device'].split(',')[0]}"
    return f"{start}| **{verdict}** | {answer.ours} | {answer.limit} | {origin} |"


def render(folder=None):
    """The page as Markdown, of results in ``folder`` (default: those of the checkout)."""
    folder = results.ROOT / "results" if folder is None else folder
    return HEAD + "\n".join(line(row, folder) for row in ROWS) + "\n:::\n" + without_diffusion(folder)


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
    results.write_bytes(output, render(folder).encode())
    return Path(output)
