"""The fault points of the programs, as their table in src/base/fault.c lists them."""

import re

import harness

LINE = re.compile(r'^\s+\{ "([a-z-]+)", "(web|worker)",', re.M)


def points(program):
    text = (harness.ROOT / "src/base/fault.c").read_text()
    return [name for name, of in LINE.findall(text) if of == program]
