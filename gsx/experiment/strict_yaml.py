"""YAML files that anybody may have written: plain values, or one line that says which file, which line in it and which rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gsx.records import ConfigurationError

#: Of a file: more takes longer to read than anybody waits for its refusal.
MOST_BYTES, MOST_ENTRIES, MOST_LEVELS = 1 << 20, 10_000, 64

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.1 takes 1e-5 for a text, and of two equal keys the last: here it is a number, and they are a mistake."""

    composed = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.composed += 1
        if self.composed > MOST_ENTRIES:
            raise ValueError(_too_many())
        event = self.peek_event()
        if (tag := getattr(event, "tag", None)) is not None:  # what PyYAML makes of them is more than values, and it stumbles over some
            raise yaml.constructor.ConstructorError(None, None, f"the tag {tag}: values have none", event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _check_size(node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if key.tag != _TEXT:
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands there twice", key.start_mark)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def _check_size(root: yaml.Node) -> None:
    """ValueError where aliases unfold to more than anybody writes, or to themselves: before anything is made of them."""
    left, seen = [(root, 1)], 0
    while left:
        node, level = left.pop()
        seen += 1
        if seen > MOST_ENTRIES:
            raise ValueError(_too_many())
        if level > MOST_LEVELS:
            raise ValueError(f"more than {MOST_LEVELS} levels")
        if isinstance(node, yaml.CollectionNode):
            left += [(child, level + 1) for entry in node.value for child in (entry if isinstance(entry, tuple) else (entry,))]


def _too_many() -> str:
    return f"more than {MOST_ENTRIES} entries, aliases unfolded"


def read_yaml(path: Path, shown: str) -> Any:
    """What a file holds. ConfigurationError begins with the name that is `shown` of it."""
    if not path.is_file():  # a FIFO would never be read to its end, nor would /dev/zero
        raise ConfigurationError(f"{shown}: is no regular file")
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        return yaml.load(data.decode(), _Loader)
    except yaml.MarkedYAMLError as error:
        what = "" if isinstance(error, yaml.constructor.ConstructorError) else "is no YAML: "
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigurationError(f"{shown}{line}: {what}{error.problem}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{shown}: more than {MOST_LEVELS} levels") from error
    except (yaml.YAMLError, ValueError) as error:  # PyYAML says ValueError to the 31st of February
        raise ConfigurationError(f"{shown}: {' '.join(str(error).split())}") from error
