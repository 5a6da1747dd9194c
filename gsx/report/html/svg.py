"""A figure's SVG as part of a page: drawing elements only, ids of its own, styles as classes, which a content policy can vouch for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_DRAWING = {"svg", "g", "defs", "use", "path", "rect", "circle", "line", "polyline", "polygon", "clipPath", "text", "tspan", "image"}
_STYLE = re.compile(r"[\w\s#%.,:;()'\"+-]*\Z")


@dataclass
class Sheet:
    """The styles of all figures, each once: a style attribute would need a policy that lets every one through."""

    classes: dict[str, str] = field(default_factory=dict)

    def of(self, style: str) -> str:
        return self.classes.setdefault(style.strip(), f"s{len(self.classes)}")

    def css(self) -> str:
        return "".join(f".{name}{{{style}}}\n" for style, name in self.classes.items())


def inline(text: str, prefix: str, sheet: Sheet) -> str:
    """The drawing of an SVG file; `prefix` makes its ids unique in the page. Whatever is no drawing is left out."""
    root = ElementTree.fromstring(text)
    _clean(root, prefix, sheet)
    root.set("aria-hidden", "true")  # the text of a figure is its caption
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)


def _clean(element: ElementTree.Element, prefix: str, sheet: Sheet) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    attributes = dict(element.attrib)
    element.attrib.clear()
    for name, value in attributes.items():
        if name == "style":
            if _STYLE.match(value) and "url" not in value:
                element.set("class", sheet.of(value))
        elif name == "id":
            element.set("id", prefix + value)
        elif name in ("href", f"{_XLINK}href"):
            if value.startswith("#"):
                element.set("href", f"#{prefix}{value[1:]}")
            elif value.startswith("data:image/png;base64,"):
                element.set("href", value)
        elif not name.startswith(("on", "{")) and name != "class":
            element.set(name, re.sub(r"url\(#", f"url(#{prefix}", value))
    for child in list(element):
        if child.tag.removeprefix(_SVG) in _DRAWING:
            _clean(child, prefix, sheet)
        else:
            element.remove(child)
