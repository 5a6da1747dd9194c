"""The rooms of gsx, and which way the imports point. One table says it; the syntax trees of all modules are held against it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What a program of gsx is run with. These modules may import each other, in one direction: there is no cycle anywhere.
#: What runs, whole or in parts, have in common; without torch.
RUNS = "conclusion stopping shards resume"
MACHINERY = (
    "registry configuration identity provenance program probe draws routes process parcel learnt accumulator worker accumulate"
    " yardstick reference shared_reference replication tune torchrun facts measurement notebook worker_process forecast exact_moments"
    " training catalogue document"
)
ALGORITHMS = "distributions models estimators moments"

#: room: the rooms it may import (besides itself).
ROOMS = {
    # without torch: a report reads ten thousand results and never waits for a tensor library
    "naming": "",
    "raised": "naming",
    "records": "",
    "experiment": "records naming",
    "statistics": "records",
    "store": "records",
    "conclusion": "records statistics",
    "stopping": "records statistics",
    "shards": "records store",
    "resume": "records store shards",
    "merging": "records store shards conclusion",
    "data": "records naming",
    "report": "records statistics store naming experiment",
    # with torch
    "noise": "records",
    "surrogate": "records",
    "costs": "records",
    "distributions": "records noise surrogate",
    "models": "records naming data noise surrogate costs distributions",
    "estimators": "records naming noise surrogate costs distributions",
    "moments": "records noise",
    **dict.fromkeys(
        MACHINERY.split(), f"records naming raised statistics store data noise surrogate costs {RUNS} {ALGORITHMS} {MACHINERY}"
    ),
    # on top: the benchmark; the commands, and the package itself, whose names are loaded on first use
    "testing": f"records naming statistics store data noise surrogate costs {ALGORITHMS} {MACHINERY}",
    "benchmark": f"records naming statistics store data noise surrogate costs {ALGORITHMS} {MACHINERY}",
    "cli": f"records naming raised experiment statistics store data report noise surrogate costs merging {ALGORITHMS} {MACHINERY} testing",
    "": f"records naming experiment statistics store data report noise surrogate costs {ALGORITHMS} {MACHINERY}",
}
ROOMS["__main__"] = "cli"

#: library: the only rooms that may import it.
LIBRARIES = {
    "torch": f"noise surrogate costs {ALGORITHMS} {MACHINERY} testing cli benchmark",
    "hydra": "cli",
    "matplotlib": "report",
    "pandas": "report",
}

#: The only rooms that may open a file for writing; what `document` writes is the repository's own text.
WRITERS = "store data document"

#: Calls that write, by their last name, or in full where that alone is too common; `open` is asked for its mode.
OPENERS = {"write_text", "write_bytes", "savez", "savez_compressed", "mkstemp", "NamedTemporaryFile", "fdopen"} | {
    "np.save",
    "numpy.save",
    "torch.save",
    "os.open",
}


# ----------------------------------------------------------------------------------------------------------------- the walker


def room_of(name: str) -> str:
    """`gsx.report.tables` is in `report`; `gsx` itself is a room without a name."""
    return name.split(".")[1] if "." in name else ""


@dataclass(frozen=True)
class Module:
    """A module of gsx: its dotted name, its text, and whether it is a package (relative imports count from there)."""

    name: str
    source: str
    is_package: bool = False

    @property
    def room(self) -> str:
        return room_of(self.name)


def modules(folder: Path) -> list[Module]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found.append(Module(".".join(parts[:-1] if is_package else parts), path.read_text(encoding="utf-8"), is_package))
    return found


def imports(module: Module) -> Iterator[tuple[int, str, bool]]:
    """``(line, dotted name, whether it is only a name of the package above)``: at the top, in functions and under TYPE_CHECKING alike.

    `from gsx import store` and `import gsx; gsx.store` are imports of `gsx.store`. A dynamic import counts where its name is written out.
    """
    for node in ast.walk(ast.parse(module.source)):
        match node:
            case ast.Import():
                for alias in node.names:
                    renamed = alias.name == "gsx" and alias.asname
                    yield node.lineno, f"gsx.{alias.asname}" if renamed else alias.name, bool(renamed)
            case ast.Attribute(value=ast.Name(id="gsx"), attr=name):
                yield node.lineno, f"gsx.{name}", True
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    package = module.name.split(".")
                    package = package[: len(package) - node.level + module.is_package]
                    base = ".".join([*package, base] if base else package)
                if base == "gsx":
                    for alias in node.names:
                        yield node.lineno, f"gsx.{alias.name}", True
                else:
                    yield node.lineno, base, False
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name, False


def writes(module: Module) -> Iterator[tuple[int, str]]:
    """``(line, call)`` of each call that opens a file for writing, or in a mode that is not written out."""
    for node in ast.walk(ast.parse(module.source)):
        if not isinstance(node, ast.Call) or (node.args and ast.unparse(node.args[0]) == "os.devnull"):
            continue
        call = ast.unparse(node.func)
        last = call.rsplit(".", 1)[-1]
        if last in OPENERS or call in OPENERS:
            yield node.lineno, call
        elif last == "open":
            # `open(path, mode)` and `io.open`, `gzip.open`, ... but `path.open(mode)`
            place = 1 if call in {"open", "io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open"} else 0
            mode = next((keyword.value for keyword in node.keywords if keyword.arg == "mode"), None)
            mode = mode or (node.args[place] if len(node.args) > place else ast.Constant("r"))
            if not (isinstance(mode, ast.Constant) and isinstance(mode.value, str) and not set(mode.value) & set("wax+")):
                yield node.lineno, call


def violations(found: list[Module]) -> list[str]:
    """What breaks the tables, one line each; cycles between rooms too."""
    names = {module.name for module in found}
    graph: dict[str, set[str]] = {}
    wrong = []
    for module in found:
        room = module.room
        where = f"{module.name}:"
        if room not in ROOMS:
            wrong.append(f"{where} the room {room} is not in the table of tests/test_imports.py")
            continue
        for line, name, is_name in imports(module):
            library = name.split(".")[0]
            if library != "gsx":
                if library in LIBRARIES and room not in LIBRARIES[library].split():
                    wrong.append(f"{where}{line} {room or 'gsx'} imports {library}, which is for {LIBRARIES[library]} only")
                continue
            other = room_of(name)
            if is_name and other not in ROOMS and name not in names:
                # A name of the package itself: its version is a fact, everything else hides a room.
                if room and room != "cli" and not other.startswith("__"):
                    wrong.append(f"{where}{line} {room} imports {other} from gsx: say which room it is from")
            elif other not in {"", room, *ROOMS[room].split()}:
                wrong.append(f"{where}{line} {room} imports {other}; it may import {ROOMS[room] or 'nothing of gsx'}")
            elif other not in {"", room} and room:
                graph.setdefault(room, set()).add(other)
        if room not in WRITERS.split():
            wrong.extend(
                f"{where}{line} {room or 'gsx'} writes a file ({call}), which is for {WRITERS} only" for line, call in writes(module)
            )
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        wrong.append(f"the rooms import each other: {' <- '.join(error.args[1])}")
    return wrong


# ----------------------------------------------------------------------------------------------------------------- the rule


def test_imports_point_one_way() -> None:
    found = modules(ROOT / "gsx")
    assert {"gsx", "gsx.records", "gsx.data.idx"} <= {module.name for module in found}  # the walker sees modules, packages and depths
    wrong = violations(found)
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_table_agrees_with_itself() -> None:
    with_torch = set(LIBRARIES["torch"].split())
    for room, allowed in ROOMS.items():
        assert set(allowed.split()) <= set(ROOMS), room
        if room not in {"", "__main__", *with_torch}:
            assert not set(allowed.split()) & with_torch, f"{room} has no torch but may import a room that has"
    assert "estimators" not in ROOMS["models"] and "models" not in ROOMS["estimators"]
    below = {room: set(allowed.split()) for room, allowed in ROOMS.items() if room not in MACHINERY.split()}
    TopologicalSorter(below).prepare()  # CycleError where the table itself goes round


# ----------------------------------------------------------------------------------------------------------------- planted violations

PLANTED = [
    # (module, its text, what must be said about it)
    ("gsx.models.foo", "from gsx.estimators.bar import Bar", "models imports estimators"),
    ("gsx.models.foo", "from gsx import estimators", "models imports estimators"),
    ("gsx.models.foo", "from .. import estimators", "models imports estimators"),
    ("gsx.models.foo", "from ..estimators import bar", "models imports estimators"),
    ("gsx.models.foo", "from gsx import Estimator", "models imports Estimator from gsx"),
    ("gsx.models.foo", "import gsx\ngsx.estimators.bar()", "models imports estimators"),
    ("gsx.models.foo", "import gsx\ngsx.Estimator()", "models imports Estimator from gsx"),
    ("gsx.models.foo", "import gsx as g", "models imports g from gsx"),
    ("gsx.estimators.foo", "import gsx.models.bar as bar", "estimators imports models"),
    ("gsx.estimators.foo", "def f():\n    from gsx.models import bar", "estimators imports models"),
    ("gsx.estimators.foo", "if TYPE_CHECKING:\n    from gsx.models import bar", "estimators imports models"),
    ("gsx.estimators.foo", "import importlib\nimportlib.import_module('gsx.models.bar')", "estimators imports models"),
    ("gsx.estimators.foo", "from gsx.data import load", "estimators imports data"),
    ("gsx.estimators.foo", "from gsx.measurement import measure", "estimators imports measurement"),
    ("gsx.noise", "from gsx.distributions import Bernoulli", "noise imports distributions"),
    ("gsx.surrogate", "import gsx.noise", "surrogate imports noise"),
    ("gsx.statistics", "from gsx.store import read", "statistics imports store"),
    ("gsx.statistics", "import torch", "statistics imports torch"),
    ("gsx.records", "from gsx.statistics import analyse", "records imports statistics"),
    ("gsx.report.foo", "from gsx.measurement import measure", "report imports measurement"),
    ("gsx.report.foo", "def f():\n    import torch.nn", "report imports torch"),
    ("gsx.data.foo", "from torch import Tensor", "data imports torch"),
    ("gsx.measurement", "from gsx.cli import main", "measurement imports cli"),
    ("gsx.measurement", "from gsx.report import tables", "measurement imports report"),
    ("gsx.measurement", "from hydra import compose", "measurement imports hydra"),
    ("gsx.measurement", "import pandas as pd", "measurement imports pandas"),
    ("gsx.cli.foo", "import matplotlib.pyplot as plt", "cli imports matplotlib"),
    ("gsx.cli.foo", "open(path, 'w')", "cli writes a file (open)"),
    ("gsx.cli.foo", "open(path, mode='ab')", "cli writes a file (open)"),
    ("gsx.cli.foo", "open(path, mode)", "cli writes a file (open)"),
    ("gsx.cli.foo", "os.open(path, os.O_WRONLY)", "cli writes a file (os.open)"),
    ("gsx.report.foo", "path.open('x')", "report writes a file (path.open)"),
    ("gsx.report.foo", "Path(folder, name).write_text(text)", "writes a file (Path(folder, name).write_text)"),
    ("gsx.measurement", "np.savez(path, x=x)", "measurement writes a file (np.savez)"),
    ("gsx.measurement", "torch.save(state, path)", "measurement writes a file (torch.save)"),
    ("gsx.utils", "", "the room utils is not in the table"),
]


@pytest.mark.parametrize(("name", "source", "said"), PLANTED)
def test_a_planted_violation_is_found(name: str, source: str, said: str) -> None:
    (line,) = violations([Module(name, source)])
    assert line.startswith(f"{name}:") and said in line


def test_a_planted_cycle_is_found() -> None:
    """Each import is allowed, both together are not."""
    there, back = (
        Module("gsx.accumulate", "from gsx.reference import x"),
        Module("gsx.reference", "def f():\n    from gsx import accumulate"),
    )
    assert violations([there]) == violations([back]) == []
    (line,) = violations([there, back])
    assert line.startswith("the rooms import each other: ")


def test_a_relative_import_counts_from_the_package() -> None:
    """In a package `.` is the package itself, in a module the package above; a wrong count would hide or invent violations."""
    assert [name for _, name, _ in imports(Module("gsx.models", "from . import a\nfrom .b import c\nfrom .. import d", True))] == [
        "gsx.models",
        "gsx.models.b",
        "gsx.d",
    ]
    assert [name for _, name, _ in imports(Module("gsx.models.foo", "from . import a\nfrom .b import c\nfrom ..d import e"))] == [
        "gsx.models",
        "gsx.models.b",
        "gsx.d",
    ]


ALLOWED = [
    ("gsx.models.foo", "import torch\nfrom gsx.data import load\nfrom . import base\nfrom gsx.costs import Separable"),
    ("gsx.estimators.foo", "from gsx import surrogate\nfrom gsx.distributions import Normal"),
    ("gsx.measurement", "from gsx import __version__, store\nfrom gsx.accumulate import run"),
    (
        "gsx.report.foo",
        "import pandas\nfrom gsx.store import atomic_write\nopen(path)\nopen(path, 'rb')\npath.open()\nname.replace('a', 'w')",
    ),
    ("gsx.provenance", "import gsx\nprint(gsx.__version__, gsx.__file__)"),
    ("gsx.cli.run", "import gsx\ngsx.measure()\nimport hydra\nfrom gsx.report import tables\nfrom gsx.estimators import base"),
    ("gsx.cli.foo", "os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())"),
    ("gsx.store", "open(path, 'xb')\nos.open(folder, os.O_RDONLY)"),
]


@pytest.mark.parametrize(("name", "source"), ALLOWED)
def test_what_is_allowed_is_let_pass(name: str, source: str) -> None:
    assert violations([Module(name, source)]) == []


# ----------------------------------------------------------------------------------------------------------------- and in truth


def loaded_by(statement: str) -> set[str]:
    """The top-level packages a fresh Python has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["gsx", "gsx.cli", "gsx.cli.merge", "gsx.data", "gsx.records", "gsx.report", "gsx.resume", "gsx.statistics", "gsx.store"]
)
def test_torch_is_not_loaded(module: str) -> None:
    assert not loaded_by(f"import {module}") & {"torch", "sklearn", "scipy"}


def test_torch_would_be_seen() -> None:
    assert "torch" in loaded_by("import gsx.noise")


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("['--version']", {"torch", "numpy", "hydra", "pandas", "matplotlib"}),
        ("['completion', 'bash']", {"torch", "numpy", "hydra", "pandas", "matplotlib"}),
        ("['completion', 'query']", {"torch", "numpy", "pandas", "matplotlib"}),
        ("['report', '--help']", {"torch", "hydra"}),
        ("['merge', '--help']", {"torch", "hydra", "pandas", "matplotlib"}),
        ("['status', 'gsx/cli']", {"torch", "hydra", "pandas", "matplotlib"}),
        ("['verify', 'gsx/cli']", {"torch", "hydra", "pandas", "matplotlib"}),
    ],
)
def test_commands_that_answer_at_once_load_nothing_heavy(command: str, heavy: set[str]) -> None:
    run = f"import os; os.environ['COMP_LINE'] = 'gsx run esti'; from gsx.cli import main\ntry: main({command})\nexcept SystemExit: pass"
    assert not loaded_by(run) & heavy
