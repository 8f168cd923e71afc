"""`python -m constitutions lint FILE...`, `diff OLD NEW` and `schema`. Left out: the command `charter`."""

import argparse
import json
import sys
from pathlib import Path

from constitutions.differences import diff_constitutions
from constitutions.editor_schema import editor_schema
from constitutions.errors import ConstitutionError
from constitutions.lint import lint_constitution
from constitutions.loader import load_constitution_file

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def main(arguments: list[str] | None = None) -> int:
    """0 where all is well, 1 where the linter found an error, 2 where a file cannot be accepted."""
    parser = argparse.ArgumentParser(prog="python -m constitutions", description="Lint and compare constitutions.")
    commands = parser.add_subparsers(dest="command", required=True)
    lint = commands.add_parser("lint", help="say what a careful reader would object to; exit 1 on errors")
    lint.add_argument("files", nargs="+", type=Path, metavar="FILE")
    diff = commands.add_parser("diff", help="print what changes from one file to the other, as JSON")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)
    schema = commands.add_parser("schema", help="write the JSON Schema for editors")
    schema.add_argument("--output", type=Path, default=SCHEMA_FILE)
    options = parser.parse_args(arguments)
    try:
        if options.command == "lint":
            return max([_lint(file) for file in options.files])
        if options.command == "diff":
            difference = diff_constitutions(load_constitution_file(options.old), load_constitution_file(options.new))
            print(json.dumps(difference.as_json(), indent=2, ensure_ascii=False))
        else:
            options.output.write_text(editor_schema(), encoding="utf-8")
    except ConstitutionError as error:
        print("\n".join(error.problems), file=sys.stderr)
        return 2
    return 0


def _lint(file: Path) -> int:
    findings = lint_constitution(load_constitution_file(file))
    for finding in findings:
        principle = f" principle '{finding.principle_id}':" if finding.principle_id else ""
        print(f"{file}: {finding.severity}: {finding.code}:{principle} {finding.message}")
    return 1 if any(finding.severity == "error" for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
