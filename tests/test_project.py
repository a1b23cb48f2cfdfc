"""The files around the package agree with each other."""

import ast
import copy
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

import specnb

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tools"))
from strip import strip  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def of_extra(name):
    """Requirements of an extra and of the extras that it names."""
    for line in PROJECT["optional-dependencies"][name]:
        if line.startswith("specnb["):
            for other in line.removeprefix("specnb[").removesuffix("]").split(","):
                yield from of_extra(other)
        else:
            yield line


def requirements():
    return [*PROJECT["dependencies"], *of_extra("test"), *of_extra("dev")]


def test_every_dependency_has_its_reason_and_there_is_no_second_opinion_on_versions():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start, end = lines.index("dependencies = ["), lines.index("[project.scripts]")
    for line in lines[start:end]:
        assert not line.startswith('    "') or re.search(r'", +# .{5,}', line), line
    everything = [*requirements(), *of_extra("grid")]
    for name in {re.match(r"[a-zA-Z0-9_-]+", line)[0] for line in everything}:
        found = {line for line in everything if re.match(rf"{name}(?![a-zA-Z0-9_-])", line)}
        assert len(found) == 1, found


def test_the_book_and_the_tests_bring_what_they_need():
    extras = PROJECT["optional-dependencies"]
    assert set(of_extra("test")) > set(of_extra("book")) > {*extras["plot"], *extras["train"]}


def test_environment_file_lists_what_pyproject_lists():
    conda = {"torch": "pytorch"}
    expected = {"python" + PROJECT["requires-python"]}
    for line in requirements():
        name = re.match(r"[a-zA-Z0-9_-]+", line)[0]
        expected.add(conda.get(name, name) + line[len(name) :])
    found = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = next(entry["pip"] for entry in found if isinstance(entry, dict))
    assert {entry for entry in found if isinstance(entry, str)} - {"pip"} | set(
        by_pip
    ) == expected | {"-e ."}


def test_constraints_pin_every_requirement():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[name.lower().replace("_", "-")] = version
    assert pins["torch"] == "2.13.0"
    for line in requirements():
        assert re.match(r"[a-zA-Z0-9_-]+", line)[0].lower() in pins


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_carry_no_outputs_and_start_with_their_parameters(path):
    notebook = nbformat.read(path, 4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert 'profile = "smoke"' in code[0].source
    assert strip(copy.deepcopy(notebook)) == notebook, (
        f"run: python tools/strip.py {path.relative_to(ROOT)}"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_figures_have_alternative_text(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code" and "plt.show()" in cell.source:
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 40
            assert cell.metadata["mystnb"]["figure"]["caption"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_notebooks_open_and_close_alike(path):
    cells = nbformat.read(path, 4).cells
    assert cells[0].source.startswith("# ")
    for part in ("**Question.**", "**What the plan ", "**Here.**"):
        assert part in cells[0].source, part
    *_, rerun, cost = cells
    first, last = cost.source.rsplit("\n", 1)
    assert first.startswith("path = storage.write("), (
        "a result is written last: a run that fails leaves none"
    )
    assert last == "print(storage.cost(path))"
    assert sum("storage.write(" in cell.source for cell in cells) == 1
    assert rerun.source.startswith("## What it cost, and how to run it again\n\n```\n")
    assert f"papermill notebooks/{path.name} out.ipynb --cwd notebooks " in rerun.source
    *_, compared = (c for c in cells if "nbval-check-output" in c.metadata.get("tags", []))
    (shown,) = ast.parse(compared.source).body
    keys = [ast.unparse(key).strip("f'\"").split("/")[-1] for key in shown.value.args[0].args[1:]]
    (kept,) = compared.outputs
    printed = [line.rsplit(": ", 1)[0].split("/")[-1] for line in kept.text.splitlines()]
    assert printed == keys, "run: python tools/refill.py"


def test_every_notebook_is_in_the_book():
    contents = (ROOT / "_toc.yml").read_text()
    for path in NOTEBOOKS:
        assert f"notebooks/{path.stem}\n" in contents


def test_the_package_page_lists_all_that_is_public():
    page = (ROOT / "book" / "api.md").read_text()
    for name in specnb.__all__:
        assert re.search(rf":: {name}\n", page), name


def test_editors_see_the_public_names_where_they_are_loaded_from():
    tree = ast.parse((ROOT / "specnb" / "__init__.py").read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    seen = {a.name: n.module.removeprefix("specnb.") for n in block.body for a in n.names}
    assert seen == specnb._HOME
    assert specnb.__all__ == list(specnb._HOME)


def test_the_package_page_lists_every_module_in_the_order_of_reading():
    page = (ROOT / "book" / "api.md").read_text()
    listed = re.findall(r"automodule:: specnb\.(\S+)\n", page)
    package = ROOT / "specnb"
    modules = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in package.rglob("*.py")
        if path.stem not in ("__init__", "__main__", "extras", "plotting")
    }
    shown = {name for name in modules if not name.startswith(("cli.", "experiments.figures."))}
    assert sorted(listed) == sorted(shown)
    rank = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}
    ranks = [rank[name.split(".")[0]] for name in listed]
    assert ranks == sorted(ranks)


def test_no_file_is_too_large():
    for path in (ROOT / "specnb").rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 25e6, path
        if path.suffix == ".py":
            assert len(path.read_text().splitlines()) <= 400, path


ROOMS = [
    {"extras"},
    {"grid", "observed", "validate", "metrics", "calibration", "storage"},
    {"world"},
    {"denoising"},
    {"sampling", "spectral_lines"},
    {"labels"},
    {"observing"},
    {"training"},
    {"plotting"},
    {"experiments"},
    {"lte", "book"},
    {"cli"},
]
"""Folders and files of the package; each imports only from its own line and those above it."""


def imported(path):
    """Modules of the package that a file imports, (name, whether only when used or for types)."""
    tree = ast.parse(path.read_text())
    late = {
        node
        for scope in ast.walk(tree)
        if isinstance(scope, ast.FunctionDef)
        or (isinstance(scope, ast.If) and ast.unparse(scope.test) == "TYPE_CHECKING")
        for node in ast.walk(scope)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "specnb":
            if node.module == "specnb":
                yield from ((alias.name, node in late) for alias in node.names)
            else:
                yield node.module.removeprefix("specnb."), node in late


def test_imports_run_one_way():
    rank = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}
    package = ROOT / "specnb"
    found = {p.stem if p.is_file() else p.name for p in package.iterdir()}
    assert found - {"__init__", "py", "__pycache__", "assets"} == set(rank)
    for path in package.rglob("*.py"):
        own, *_ = path.relative_to(package).with_suffix("").parts
        if own == "__init__":
            continue
        for name, late in imported(path):
            room = name.split(".")[0]
            assert rank[room] <= rank[own], f"{path.relative_to(ROOT)} imports {name}"
            assert own != "cli" or room in ("cli", "extras") or late, (
                f"{path.relative_to(ROOT)}: `specnb --help` need not wait for {name}"
            )


NO_VERBS = {"A", "An", "How", "It", "Some", "The", "This", "What", "Where", "Whether", "Which"}
"""First words of sentences that do not tell what a function does."""


def shown(name):
    """Whether a user sees a method."""
    return name in ("__init__", "__call__") or not name.startswith("_")


def public(path):
    """Public functions, classes and methods of a file: (name, node, is it a method)."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node, False
            methods = node.body if isinstance(node, ast.ClassDef) else []
            for own in methods:
                if isinstance(own, ast.FunctionDef) and shown(own.name):
                    yield f"{node.name}.{own.name}", own, True


def unannotated(function, method):
    """Arguments without a type, and "return" without one; mypy infers what ``__init__`` returns."""
    names = function.args
    listed = [*names.posonlyargs, *names.args]
    if method and listed and listed[0].arg in ("self", "cls"):
        listed = listed[1:]
    listed += [*names.kwonlyargs, *filter(None, (names.vararg, names.kwarg))]
    missing = [argument.arg for argument in listed if argument.annotation is None]
    if function.returns is None and function.name != "__init__":
        missing.append("return")
    return missing


def test_all_that_is_public_has_types():
    package = ROOT / "specnb"
    without = {}
    for path in sorted(package.rglob("*.py")):
        file = str(path.relative_to(package))
        for name, node, method in public(path):
            if isinstance(node, ast.FunctionDef) and (missing := unannotated(node, method)):
                without[f"{file}: {name}"] = missing
    assert not without


def test_all_that_is_public_says_what_it_does():
    package = ROOT / "specnb"
    for path in sorted(package.rglob("*.py")):
        for name, node, method in public(path):
            place, said = f"{path.relative_to(package)}: {name}", ast.get_docstring(node)
            assert said or name.endswith(".__init__"), place
            if isinstance(node, ast.FunctionDef) and not method:
                word = said.split()[0]
                assert word[0].isupper(), f"{place} begins with {word}"
                assert word not in NO_VERBS, f"{place} begins with {word}"


def test_every_public_function_has_an_example_that_runs():
    """It runs in ``make test``, by ``--doctest-modules``."""
    without = [
        name for name in specnb.__all__ if ">>>" not in (getattr(specnb, name).__doc__ or "")
    ]
    assert without == ["Posterior"]  # which sends to oracle's


def test_examples_of_every_module_run_with_the_tests():
    assert "--doctest-modules specnb" in (ROOT / "Makefile").read_text()
