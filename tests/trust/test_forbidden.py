"""What gsx never does: unpickle, evaluate, start a shell. One table says where there is an exception, and why; syntax trees are held to it.

A name cannot be hidden behind an alias: whatever it is renamed to, the original stands somewhere, as an import, an attribute, a name, or a
text handed to `getattr`. Where the same name is harmless elsewhere (`load`), only bases that are known to be harmless pass.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gsx

PACKAGE = Path(gsx.__file__).parent

#: Words that stand nowhere in the package, as a name, an attribute, a part of an import, or a text of their own.
NEVER = """
    pickle cPickle _pickle pickletools dill cloudpickle joblib marshal shelve jsonpickle read_pickle to_pickle Unpickler PickleBuffer
    multiprocessing ProcessPoolExecutor eval exec execfile __import__ __builtins__ __globals__ __subclasses__ codeop runpy
    instantiate get_method get_class get_object unsafe_load unsafe_load_all full_load full_load_all load_all safe_load_all
    UnsafeLoader FullLoader Loader CLoader BaseLoader popen getoutput getstatusoutput create_subprocess_shell spawnl spawnv
    posix_spawn execv execve execl execlp execvp execvpe fork
"""
WORDS = frozenset(NEVER.split())
#: Modules that are not imported; as other things the words are harmless.
MODULES = {"builtins", "code"}
#: Attributes that are harmless with these bases alone, as they are written.
BASES = {
    "load": {
        "data": "a data set, by its name",
        "importlib.import_module('gsx.data')": "the same function",
        "np": "with allow_pickle=False, which is asked for below",
        "OmegaConf": "its loader is PyYAML's safe one",
        "yaml": "with a loader of our own, which is a safe one, as is asked for below",
        "points[name]": "an entry point: code that the user has installed",
    },
    "loads": {"json": "JSON"},
    "system": {"platform": "its name"},
    "import_module": {"importlib": "what it may import is asked below"},
    "compile": {"re": "a pattern"},
}
#: Calls that must say that they do not unpickle.
ARRAYS = {"np.load", "np.lib.format.read_array", "np.lib.format.write_array"}
#: Modules that may be imported by a name that is not written out, beside `gsx....`.
PLUGINS = {"registry.py": "plugins=[MODULE], which the user names to have it imported"}

#: The exceptions: (file, word) and its reason.
ALLOWED = {
    ("cli/ending.py", "joblib"): "its backend, so that it ends its workers gently",
    ("cli/presets.py", "joblib"): "the name of a launcher",
    ("cli/survival.py", "joblib"): "the exception that its launcher raises when a worker was killed",
}


def violations(source: str, file: str) -> Iterator[str]:
    """What in a module is forbidden: `word (line)`."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for word in words(node):
            if word in WORDS and (file, word) not in ALLOWED:
                yield f"{word} ({line})"
        match node:
            case ast.Attribute(attr=word, value=base) if word in BASES and ast.unparse(base) not in BASES[word]:
                if (file, word) not in ALLOWED:
                    yield f"{ast.unparse(base)}.{word} ({line})"
            case ast.Name(id="compile"):
                yield f"compile ({line})"
            case ast.ImportFrom(names=names, module=module):
                if module in MODULES:
                    yield f"{module} ({line})"
                for name in names:
                    if name.name in BASES and not (module or "").startswith("gsx."):
                        yield f"{name.name} from {module} ({line})"
                    if name.name == "*":
                        yield f"* from {module} ({line})"
            case ast.Import(names=names):
                for name in names:
                    if name.name in MODULES:
                        yield f"{name.name} ({line})"
                    if name.asname in {"data", "np", "OmegaConf", "yaml", "json", "platform", "re"} and name.name != "numpy":
                        yield f"{name.name} as {name.asname} ({line})"
            case ast.Call(func=func, keywords=keywords, args=args):
                said = {keyword.arg: keyword.value for keyword in keywords}
                call = ast.unparse(func)
                if call in ARRAYS and not is_false(said.get("allow_pickle")):
                    yield f"{call} without allow_pickle=False ({line})"
                if "shell" in said or (None in said and call.startswith("subprocess")):
                    yield f"shell= ({line})"
                if "allow_pickle" in said and not is_false(said["allow_pickle"]):
                    yield f"allow_pickle ({line})"
                if call == "yaml.load" and [ast.unparse(argument) for argument in args[1:]] != ["_Loader"]:
                    yield f"yaml.load without a safe loader ({line})"
                if call == "importlib.import_module" and file not in PLUGINS and not is_ours(args[0]):
                    yield f"import_module of {ast.unparse(args[0])} ({line})"


def words(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word):
            yield word
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (part for name in names for part in name.name.split("."))
            yield from (getattr(node, "module", None) or "").split(".")
        case ast.Constant(value=str(text)):
            yield text


def is_false(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def is_ours(argument: ast.AST) -> bool:
    first = argument.values[0] if isinstance(argument, ast.JoinedStr) else argument
    return (isinstance(first, ast.Constant) and str(first.value).startswith("gsx.")) or ast.unparse(argument) == "_HOMES[name]"


def everywhere() -> dict[str, list[str]]:
    found = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    return {file: list(violations(source, file)) for file, source in found.items()}


def test_nothing_forbidden_is_in_the_package() -> None:
    found = everywhere()
    assert len(found) > 200
    assert {file: wrong for file, wrong in found.items() if wrong} == {}


def test_every_exception_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.trust.test_forbidden.ALLOWED", {})
    wrong = {(file, line.partition(" ")[0].rpartition(".")[2]) for file, lines in everywhere().items() for line in lines}
    assert wrong == set(ALLOWED_BEFORE)


ALLOWED_BEFORE = dict(ALLOWED)

PLANTED = [
    "import pickle",
    "import pickle as p",
    "from pickle import loads as f",
    "import numpy as np\nnp.load(path)",
    "import numpy as np\nnp.load(path, allow_pickle=True)",
    "import numpy\nnumpy.load(path, allow_pickle=False)",
    "from numpy import load as f",
    "import torch\ntorch.load(path)",
    "import torch as t\nt.load(path)",
    "from torch import load as f",
    "import torch\nmodule = torch\nmodule.load(path)",
    "getattr(torch, 'eval')",
    "import torch as data\ndata.load(path)",
    "import torch as np\nnp.load(path, allow_pickle=False)",
    "eval(text)",
    "run = exec\nrun(text)",
    "__builtins__['ev' + 'al'](text)",
    "__import__('os')",
    "compile(text, '', 'exec')",
    "import marshal",
    "import shelve",
    "import pandas as pd\npd.read_pickle(path)",
    "import yaml\nyaml.load(text, yaml.UnsafeLoader)",
    "import yaml\nyaml.load(text)",
    "import yaml\nyaml.load(text, Loader=yaml.Loader)",
    "from yaml import unsafe_load as f",
    "from hydra.utils import instantiate as make",
    "import hydra\nhydra.utils.instantiate(config)",
    "import subprocess\nsubprocess.run(text, shell=True)",
    "import subprocess\nsubprocess.run(text, **how)",
    "import os\nos.system(text)",
    "from os import system as f",
    "import importlib\nimportlib.import_module(name)",
    "import importlib\nimportlib.import_module('pick' 'le')",
    "from torch import *",
    "import builtins as b\nb.abs(1)",
    "from builtins import abs as run",
]


@pytest.mark.parametrize("source", PLANTED)
def test_a_planted_violation_is_caught(source: str) -> None:
    assert list(violations(source, "records/result.py"))


def test_the_exception_is_for_one_file() -> None:
    source = (PACKAGE / "cli" / "presets.py").read_text(encoding="utf-8")
    assert not list(violations(source, "cli/presets.py"))
    assert list(violations(source, "store/presets.py"))
    assert list(violations(source + "\nimport shelve\n", "cli/presets.py"))
