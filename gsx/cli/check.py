"""`gsx check`: the contract, run on estimators by name."""

from __future__ import annotations

import sys

from gsx.cli.arguments import Parser

DESCRIPTION = """Hold estimators to the contract: declared facts, shapes, side effects, determinism, counted evaluations, the same on every
engine, bias in both directions with power, and that a planted bug would show. Exit code 4 where one fails."""


def command(arguments: list[str]) -> int:
    parser = Parser(prog="gsx check", description=DESCRIPTION)
    parser.add_argument("estimators", nargs="*", metavar="estimator", help="names; default: all there are")
    parser.add_argument("--plugins", nargs="*", default=[], metavar="MODULE", help="modules with estimators of your own")
    chosen = parser.parse_args(arguments)

    from gsx.registry import names
    from gsx.testing import CHECKS, run, subjects

    failed = passed = 0
    # All names are looked up before the first is checked.
    for subject in list(subjects(chosen.estimators or names("estimators", chosen.plugins), chosen.plugins)):
        print(f"{subject.label}:")
        for check in CHECKS:
            outcome = run(subject, check)
            reason = f": {outcome.reason}" if outcome.reason else ""
            print(f"  {outcome.status:6}  {check}{reason}  ({outcome.seconds:.1f} s)", flush=True)
            failed += outcome.status == "failed"
            passed += outcome.status == "passed"
    print(f"{passed} passed, {failed} failed")
    if failed:
        print(f"gsx: {failed} checks failed", file=sys.stderr)
    return 4 if failed else 0
