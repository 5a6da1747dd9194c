"""`scripts/document`: writes what is generated from the classes into the README and `docs/estimators`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from gsx.catalogue import estimators, page, table

ROOT = Path(__file__).resolve().parents[1]
#: Between these lines of the README lies the table.
BEGIN, END = "<!-- the table is made by scripts/document -->", "<!-- end of the table -->"


def texts() -> dict[Path, str]:
    """Every generated file, as it should be."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    replaced = re.sub(f"(?<={BEGIN}\n).*?(?={END})", lambda found: f"\n{table()}\n\n", readme, flags=re.DOTALL)
    pages = {ROOT / "docs" / "estimators" / f"{name}.md": page(name, kind) for name, kind in estimators().items()}
    return {ROOT / "README.md": replaced, **pages}


def stale(wanted: dict[Path, str]) -> list[Path]:
    """Files that are not as they should be, or should not be there."""
    differ = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return differ + [path for path in (ROOT / "docs" / "estimators").glob("*.md") if path not in wanted]


def main() -> int:
    wanted = texts()
    changed = stale(wanted)
    for path, text in wanted.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in set(changed) - set(wanted):
        path.unlink()
    print("\n".join(str(path.relative_to(ROOT)) for path in changed) or "nothing has changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
