"""Results of runs, JSON with where it comes from, and tensors, safetensors with notes; written atomically."""

import dataclasses
import io
import json
import os
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent


def git(*words: str) -> str:
    """Return what git says of the folder that the package lies in; OSError or CalledProcessError if it does not."""
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def is_clone() -> bool:
    """Tell whether the package is run from a clone of this project.

    An installed copy is not: the repository around it, if there is one, may be somebody else's.
    """
    try:
        top = Path(git("rev-parse", "--show-toplevel").strip()).resolve()
        name = tomllib.loads((top / "pyproject.toml").read_text())["project"]["name"]
    except (OSError, KeyError, tomllib.TOMLDecodeError, subprocess.CalledProcessError):
        return False
    return name == "specnb" and Path(__file__).resolve().parent == top / "specnb"


def commit() -> str | None:
    """Name the commit of the clone, with ``-dirty`` if more than results changed; None outside of one."""
    if not is_clone():
        return None
    try:
        name = git("rev-parse", "--short=12", "HEAD").strip()
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + ("-dirty" if changed.strip() else "")


def device_name(device: torch.device | str) -> str:
    """Name the device as a person does: the GPU, or the processor with its number of threads."""
    if str(device).startswith("cuda"):
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text()
        name = next(
            line.split(":")[1].strip()
            for line in info.splitlines()
            if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass
    return f"{name}, {torch.get_num_threads()} threads"


def provenance(device: torch.device | str, seed: int) -> dict[str, Any]:
    """Collect package and torch version, commit, date, device and seed; call it when a run starts, before it writes."""
    return {
        "specnb": version("specnb"),
        "torch": torch.__version__,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device_name(device),
        "seed": seed,
    }


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write a file as a whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def write_arrays(path: Path | str, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays into one ``.npz`` file, compressed, of the types that they have."""
    buffer = io.BytesIO()
    packed: dict[str, Any] = dict(arrays)  # numpy's signature has keywords of its own
    np.savez_compressed(buffer, **packed)
    write_bytes(path, buffer.getvalue())


def write_tensors(path: Path | str, tensors: dict[str, torch.Tensor], **notes: Any) -> None:
    """Write named tensors, and ``notes`` that JSON can hold into the header."""
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    header = {k: json.dumps(v) for k, v in notes.items()}
    write_bytes(path, safetensors.torch.save(tensors, metadata=header or None))


def read_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read the dicts of tensors and of notes that :func:`write_tensors` wrote; ``SafetensorError`` if it is broken."""
    with safe_open(str(path), "pt") as file:
        notes = {k: json.loads(v) for k, v in (file.metadata() or {}).items()}
        return {k: file.get_tensor(k) for k in file.keys()}, notes  # noqa: SIM118 (no dict)


def plain(numbers: Any) -> Any:
    """Turn a dataclass into what :func:`write` writes: dicts by name, lists, numbers."""
    instance = dataclasses.is_dataclass(numbers) and not isinstance(numbers, type)
    fields = dataclasses.asdict(numbers) if instance else numbers
    return json.loads(json.dumps(fields, allow_nan=False))


def write(path: Path | str, numbers: Any, made: dict[str, Any], seconds: float) -> Path:
    """Write ``numbers`` (a dataclass or dict) with their provenance ``made`` and wall time; returns the path."""
    content = {"provenance": {**made, "wall_s": round(seconds, 1)}, **plain(numbers)}
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
    return Path(path)


def read(path: Path | str) -> dict[str, Any]:
    """Read the dict that :func:`write` wrote."""
    return json.loads(Path(path).read_text())


def digest(numbers: Any, *keys: str) -> str:
    """Say some numbers of a result, a line each, as notebooks print them for nbval to compare.

    Parameters
    ----------
    numbers : dataclass or dict
        What :func:`write` is going to write.
    keys : str
        Where a number or a list of them lies: ``"levels/0/rho"``.

    Returns
    -------
    str

    Raises
    ------
    KeyError, IndexError
        There is no such number.
    """
    lines, written = [], plain(numbers)
    for key in keys:
        value = written
        for step in key.split("/"):
            value = value[int(step)] if isinstance(value, list) else value[step]
        values = value if isinstance(value, list | tuple) else [value]
        lines.append(f"{key}: {' '.join(map(_short, values))}")
    return "\n".join(lines)


def _short(value):
    return (
        np.format_float_positional(value, 5, fractional=False, trim="0")
        if isinstance(value, float)
        else str(value)
    )


def cost(path: Path | str) -> str:
    """Say what a run cost and where it ran, a sentence."""
    made = read(path)["provenance"]
    return (
        f"{made['wall_s']:.0f} s on {made['device']}, profile {Path(path).parent.name}, {made['date'][:10]}, "
        f"commit {made['commit'] or 'unknown'}, specnb {made['specnb']}, torch {made['torch']}"
    )
