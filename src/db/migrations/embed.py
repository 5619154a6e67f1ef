#!/usr/bin/env python3
"""Writes the migrations as a C table: embed.py OUTPUT 0001_a.sql 0002_b.sql ..."""

import pathlib
import re
import sys


def literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    lines = escaped.split("\n")
    return "\n".join(f'          "{line}\\n"' for line in lines if line)


def main():
    output, *names = sys.argv[1:]
    entries = []
    for number, name in enumerate(sorted(names, key=lambda n: pathlib.Path(n).name), start=1):
        path = pathlib.Path(name)
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if not match or int(match[1]) != number:
            sys.exit(f"{name}: expected {number:04d}_name.sql")
        entries.append(f'        {{ "{match[2]}",\n{literal(path.read_text())} }},\n')
    pathlib.Path(output).write_text(
        '#include "db/schema.h"\n\n'
        "const DbMigration db_migrations[] = {\n" + "".join(entries) + "};\n"
        f"const size_t db_migration_count = {len(entries)};\n"
    )


if __name__ == "__main__":
    main()
