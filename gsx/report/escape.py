"""Text that came out of a result, made safe for where it is written: a name is data there, never markup, a formula or a path."""

from __future__ import annotations

import hashlib
import re

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "²": r"$^2$",
    "±": r"$\pm$",
    "≠": r"$\neq$",
    "∞": r"$\infty$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
}


def line(text: str, limit: int = 200) -> str:
    """One printable line: no control characters (a terminal would obey them), no line breaks, at most `limit` characters."""
    flat = "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def markdown(text: str, limit: int = 200) -> str:
    """For a cell or a paragraph of Markdown. An underscore inside a word is left alone: no dialect in use takes it for emphasis."""
    text = line(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[\\`*|\[\]#~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", lambda match: "\\" + match.group(), text)


def latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in line(text))


def csv(text: str) -> str:
    """A spreadsheet takes a cell that begins with one of these for a formula, and runs it; an apostrophe makes it text."""
    text = line(text, 1000)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def figure(text: str, limit: int = 48) -> str:
    """For matplotlib, which takes dollars for mathematics and hides what begins with an underscore."""
    text = line(text, limit).replace("$", r"\$")
    return " " + text if text.startswith("_") else text


def slug(text: str, limit: int = 64) -> str:
    """A file name of [a-z0-9-_]; what was lost in making it is replaced by a digest, so that different texts keep different names."""
    plain = re.sub(r"(?<=\d)\.(?=\d)", "p", re.sub(r"(?<==)-(?=\d)", "m", text.replace("τ=", "tau=").replace("ρ=", "rho=")))
    name = re.sub(r"[^a-z0-9_]+", "-", plain.lower()).strip("-_")
    if len(name) > limit or not name or re.search(r"[^A-Za-z0-9_=, -]", plain) or plain.lower() != plain:
        name = (name[: limit - 7] + "-" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=3).hexdigest()).lstrip("-")
    return name
