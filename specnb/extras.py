"""Optional libraries: whoever lacks one reads which command installs it, not a traceback."""

from importlib.util import find_spec


class MissingExtra(ImportError):
    """A library of an extra is not installed; the message has the command that installs it."""


def need(*modules: str, extra: str, purpose: str) -> None:
    """Refuse to go on without optional libraries; call it right before they are imported.

    Parameters
    ----------
    *modules : str
        Top-level modules, such as ``"h5py"``; they are looked for, not imported.
    extra : str
        The extra of ``pyproject.toml`` that brings them.
    purpose : str
        What they are for, as a sentence begins: ``"Reading HDF5"``.

    Raises
    ------
    MissingExtra
        If one of them is not installed.
    """
    if missing := [name for name in modules if find_spec(name) is None]:
        raise MissingExtra(
            f"{purpose} needs {', '.join(missing)}, not installed here: "
            f"pip install 'specnb[{extra}]'"
        )
