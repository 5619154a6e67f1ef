"""Where upstream shows a secret in clear and Weir does not: error messages, a task's `dir`, a secret that came in pieces.

And what Weir says where it cannot hide one: a line in the log of a get or put whose version or metadata holds a secret.
"""

import re

WARNING = re.compile(r"(?:\\u001b|\x1b)\[1;33mWARNING: the (?:version|metadata) holds a secret; it is stored and shown in clear"
                     r"(?:\\u001b|\x1b)\[0m(?:\\n|\n)")
HIDDEN = "((redacted))"


def secrets_of(pipeline):
    """The texts in the var_sources of a pipeline file, longest first."""
    found = re.search(r"^var_sources:\n(.*?)^[^\s-]", pipeline + "\nend", re.M | re.S)
    block = found.group(1).partition("vars:\n")[2] if found else ""
    texts = set()
    for line in block.splitlines():
        text = re.sub(r"^(?:- )?(?:'?[\w/]+'?: ?)?", "", line.strip()).strip("'\"")
        if len(text) > 1:
            texts.add(text)
    return sorted(texts, key=len, reverse=True)


def without_warnings(text):
    return WARNING.sub("", text)


def hidden(ours, theirs, pipeline):
    """Their lines; where one differs from ours only by secrets that ours hides, as ours has it."""
    secrets = secrets_of(pipeline)

    def hide(line):
        for secret in secrets:
            line = line.replace(secret, HIDDEN)
        return line

    return [hide(line) if line not in ours and hide(line) in ours else line for line in theirs]
