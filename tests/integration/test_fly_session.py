"""The session that was recorded with the stock client and server, run again with ours: what each command prints.

The recordings' numbers are one session: each command meets what those before it left. What varies from run to run
(`normalised`) and what a faster or a different server does otherwise by design (`DIFFERENT`, each with its reason) is not compared.
"""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

import harness
from test_fly_recordings import RECORDED_SERVER, recorded_commands, recording, without_meter

# What is not run: why.
LEFT_OUT = {}
# What is run, and differs after all: why.
DIFFERENT = {
    "008-workers": "the recorded worker had been at work for minutes: it has containers",
    "009-workers-details": "this worker has more resource types, and no containers yet",
    "010-workers-json": "this worker has more resource types, and no containers yet",
    "050-trigger-hello": "the recorded build ran beside another and fetched the image itself; here it is there already",
    "052-trigger-unit": "steps in parallel, and an image that was checked a moment ago is not checked again",
    "055-trigger-across": "steps in parallel: their lines come in any order",
    "065-builds": "checks that a person asked for are builds until a later check replaces them and the janitor has passed: the recorded "
                  "session took minutes, and had lost two of three; and the scheduler is quicker than the client here",
    "069-builds-since": "as 065-builds",
    "073-containers": "which containers are left is a matter of time, and upstream's image checks have ones of their own",
    "074-containers-json": "as 073-containers",
    "075-volumes": "as 073-containers",
    "076-volumes-details": "as 073-containers",
    "077-volumes-json": "as 073-containers",
    "081-resources-json": "plan ids count from another number, and this server remembers its last check's plan",
    "086-clear-resource-cache": "the stock client cannot ask a question when its input is /dev/null; ours takes that for a no",
    "102-execute-job": "the scheduler looks at once here, and finds no version where 085 cleared them; the recorded one had not yet",
    "104-curl-info": "the server names itself too; the recorded one had a cluster's name and causality switched on",
    "106-curl-wall": "the message that 105 set is there; the recorded server had failed with a 500",
    "107-active-users": "the recorded server counted a user without a name",
    "108-active-users-json": "as 107-active-users",
}
WEIR_FLAGS = ["--add-local-user", "guest:guest", "--worker-name", "w1"]

# What varies from run to run, and what is put in its place.
VARYING = [
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "HANDLE"),
    (r"\b\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d\+0000\b", "TIME"),
    (r"\b\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d \+0000 UTC)?\b", "DATE"),
    (r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d UTC\b", "EXPIRY"),
    (r"^\d\d:\d\d:\d\d ", "CLOCK "),
    (r"\bv-\d{10}\b", "v-SECONDS"),
    (r"\b(?:\d+d|\d+h\d+m|\d+m\d+s|\d+s)(?= |$)", "AGE"),
    (r'("(?:start_time|end_time|last_checked|last_updated|last_login)": )\d+', r"\1SECONDS"),
    (r"(\bbuild |/builds/|BUILD_ID=)\d+", r"\1ID"),
    (r'("(?:id|build_id)": )\d+', r"\1ID"),
    (r"^\d+(?=  demo/)", "ID"),
    (r"http://(?:localhost|127\.0\.0\.1):\d+", "URL"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r'"8\.2\.5"|"0\.0\.0-dev"|^8\.2\.5$|^0\.0\.0-dev$', "VERSION"),
    # Columns are as wide as what varies.
    (r" {2,}|(?<=\S) +$", " "),
]


def normalised(text):
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text, flags=re.M)
    return text


class Session:
    """Runs the recorded commands in their order, once; keeps what each said."""

    def __init__(self, weir, golden, directory):
        self.weir, self.golden, self.home = weir, golden, directory
        self.work = directory / "work"
        shutil.copytree(golden / "pipelines", self.work)
        (self.work / "in").mkdir()
        (self.work / "in/f").write_text("input-file\n")
        self.said = {}

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "TZ": "UTC", "LC_ALL": "C.UTF-8"}

    def fly(self, *words):
        run = subprocess.run(["fly", "-t", "g", *words], executable=harness.FLY, env=self.environment(), cwd=self.work,
                             capture_output=True, stdin=subprocess.DEVNULL, timeout=harness.PATIENCE)
        return run.stdout.decode(errors="surrogateescape")

    def wait_for(self, pattern, *words):
        """Asks until the answer has it."""
        deadline = time.monotonic() + harness.PATIENCE
        while not re.search(pattern, self.fly(*words), re.M):
            assert time.monotonic() < deadline, f"no {pattern} in fly {' '.join(words)}:\n{self.fly(*words)}"
            time.sleep(0.05)

    def before(self, name):
        """What had come about by itself when the command was given."""
        if name in BEFORE:
            pattern, *words = BEFORE[name]
            self.wait_for(pattern, *(word.replace("SLOW", self.slow_build()) for word in words))

    def slow_build(self):
        """Where the API has the build that only an abort ends; "" before there is one."""
        builds = json.loads(self.fly("builds", "-j", "demo/slow", "--json") or "[]")
        return builds[0]["api_url"] if builds else ""

    def run(self, name):
        words = recording(self.golden / "fly" / f"{name}.txt")[0]
        self.before(name)
        environment = self.environment()
        if words[0] == "env":
            variable, _, value = words[1].partition("=")
            environment[variable] = value
            words = words[2:]
        words = [word.replace(RECORDED_SERVER, f"127.0.0.1:{self.weir.port}") for word in words]
        result = subprocess.run(words, executable=harness.FLY, env=environment, cwd=self.work, capture_output=True,
                                stdin=subprocess.DEVNULL, timeout=harness.PATIENCE * 2)
        out, err = (part.decode("utf-8", "surrogateescape").replace(f"127.0.0.1:{self.weir.port}", RECORDED_SERVER)
                    for part in (result.stdout, result.stderr))
        self.said[name] = (result.returncode, out, err)


# What to wait for before a command: a pattern, and the words that show it.
BEFORE = {
    "050-trigger-hello": (r"^\d+ +demo/unit/1 +failed", "builds"),
    "059-hijack": (r'"payload":"started', "curl", "SLOW/events", "--", "-s", "--max-time", "2"),
    "065-builds": (r"^\d+ +demo/slow/1 +aborted", "builds"),
}


@pytest.fixture(scope="module")
def session(weir, golden):
    played = Session(weir, golden, weir.directory / "session")
    for name in recorded_commands():
        if name not in LEFT_OUT:
            played.run(name)
    return played


@pytest.mark.parametrize("name", recorded_commands())
def test_says_as_recorded(session, golden, name):
    for reasons in (LEFT_OUT, DIFFERENT):
        if name in reasons:
            pytest.skip(reasons[name])
    _, code, stdout, stderr = recording(golden / "fly" / f"{name}.txt")
    got_code, got_out, got_err = session.said[name]
    assert normalised(got_out) == normalised(stdout)
    assert without_meter(got_err) == without_meter(stderr)
    assert got_code == code
