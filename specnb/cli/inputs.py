"""What a command is given: files, folders, patterns, lists in a file and on stdin, as one list of sources."""

import glob
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from specnb.cli.options import UsageError

OURS = ".denoised.fits"
"""How the names of our own products end; a folder's are not taken for observations."""


@dataclass(frozen=True)
class Source:
    """A file to work on.

    Attributes
    ----------
    path : pathlib.Path
    name : str
        The path as people and tables see it, UTF-8.
    target : str
        Where its product goes, below the output folder, without an ending.
    key : str
        Identifies path, size and time of change.
    """

    path: Path
    name: str
    target: str
    key: str


@dataclass
class Found:
    """Sources, what is wrong with other arguments (name → reason), and endings in folders that were passed by."""

    sources: list[Source] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)


def path_of(key: str) -> str:
    """Return the path in a source's key, without size and time of change."""
    return key.rsplit("|", 2)[0]


def shown(path: str | Path) -> str:
    """Spell a path so that any file can hold it: bytes that are no UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def short_hash(text: str) -> str:
    """Return eight hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def stem(name: str) -> str:
    """Drop ``.gz`` and the ending before it."""
    plain = name.removesuffix(".gz")
    return plain.rsplit(".", 1)[0] or plain


def find(arguments: Iterable[str], endings: tuple[str, ...], output: Path) -> Found:
    """List the files that arguments stand for, each once, in a fixed order.

    Parameters
    ----------
    arguments : iterable of str
        Files, folders (with the folders in them), patterns, ``@FILE`` (an argument a line, ``#`` begins a comment)
        and ``-`` (the same from stdin).
    endings : tuple of str
        What is taken from folders.
    output : pathlib.Path
        Table or folder that is written; it is no input.

    Returns
    -------
    Found

    Raises
    ------
    UsageError
        A list that cannot be read.
    """
    found = Found()
    seen: set[str] = set()
    written = os.path.abspath(output)
    for argument in _unlisted(arguments):
        for path, relative in _files(argument, endings, written, found):
            absolute = os.path.abspath(path)
            if absolute in seen:
                continue
            seen.add(absolute)
            try:
                state = path.stat()
            except OSError as error:
                found.bad[shown(path)] = f"{shown(path)!r}: {error.strerror}"
                continue
            key = f"{shown(absolute)}|{state.st_size}|{state.st_mtime_ns}"
            found.sources.append(Source(path, shown(path), stem(shown(relative)), key))
    found.sources = _apart(found.sources)
    return found


def _unlisted(arguments: Iterable[str]) -> Iterator[str]:
    """Replace lists by what they hold; lists do not hold lists."""
    for argument in arguments:
        if argument == "-":
            yield from _lines(sys.stdin.buffer.read())
        elif argument.startswith("@"):
            try:
                yield from _lines(Path(argument[1:]).read_bytes())
            except OSError as error:
                raise UsageError(f"list {argument[1:]!r}: {error.strerror}") from error
        else:
            yield argument


def _lines(content: bytes) -> list[str]:
    lines = (
        os.fsdecode(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    )
    return [line for line in lines if line and not line.startswith("#")]


def _files(
    argument: str, endings: tuple[str, ...], written: str, found: Found
) -> Iterator[tuple[Path, str]]:
    """Yield paths, and what the names of their products are made of."""
    path = Path(argument)
    if path.is_dir():
        yield from _inside(path, endings, written, found)
    elif path.exists():
        yield path, path.name
    elif glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            found.bad[shown(argument)] = f"no file matches {shown(argument)!r}"
        for match in map(Path, matches):
            if match.is_dir():
                yield from _inside(match, endings, written, found)
            else:
                yield match, match.name
    else:
        found.bad[shown(argument)] = f"{shown(argument)!r} does not exist"


def _inside(
    folder: Path, endings: tuple[str, ...], written: str, found: Found
) -> Iterator[tuple[Path, str]]:
    """Yield the files of a folder and of those in it; links are followed, but not in circles."""
    visited: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(".partial")
            and os.path.abspath(os.path.join(here, name)) != written
        )
        for name in sorted(names):
            path = Path(here) / name
            if os.path.abspath(path) == written or name.endswith(OURS):
                continue
            if name.startswith(".") or not name.endswith(endings):
                found.ignored[path.suffix or name] += 1
                continue
            yield path, str(path.relative_to(folder))


def _apart(sources: list[Source]) -> list[Source]:
    """Tell products of equal names apart by a hash of the whole path."""
    count = Counter(source.target.casefold() for source in sources)
    return [source if count[source.target.casefold()] == 1 else apart(source) for source in sources]


def apart(source: Source) -> Source:
    """Give a source's product a name that no other path's has."""
    absolute = path_of(source.key)
    return replace(source, target=f"{source.target}-{short_hash(absolute)}")
