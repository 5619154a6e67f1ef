"""The HTTP API against recordings of a stock server: statuses, headers, bodies, down to the order of keys.

The recordings (from 120 on: plain reads, event streams, a webhook, no credentials, bad configurations) are of a server with
a pipeline `demo2`. Ours is brought to a state like it. What a request answers is compared as a whole where it says the same
on every server (EXACT), else by its shape: which keys an object has, in which order, and what kind of value.
"""

import http.client
import json
import os
import re
import time

import pytest

import harness
import house
import recordings
import recordings_compare
from test_fly_recordings import exchanges_of

GOLDEN = recordings.GOLDEN
FIRST = 120
PIPELINE = "demo2"

# Bodies that say the same on every server in this state, ids and times aside.
EXACT = {121, 127, 128, 134, 137, 144, 151, 152, 153, 154, 156, 164, 165, 178, 179, 180, 181}

# What is not ours to answer alike, or not here.
UNFIT = {
    150: "which volumes there are is the cache's business; their shape is tested with the worker's",
    157: "names a file of the recorded server's installation",
}

# Headers that differ by nature; chunked or with a length is the server's choice.
HEADERS_THAT_VARY = {"date", "x-concourse-version", "content-length", "transfer-encoding", "connection"}


def recorded():
    if GOLDEN is None:
        return []
    return [(path.stem, number) for path in sorted((GOLDEN / "http").glob("*.txt")) if int(path.stem[:3]) >= FIRST
            for number in range(len(exchanges_of(path)))]


# ---- shapes ---------------------------------------------------------------------------------------------------------


def kind_of(value):
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


# Objects whose keys are data: names, versions, sources.
FREE = {"version", "source", "params", "instance_vars", "pipeline_instance_vars", "vars", "create_files", "teams"}

# Keys that one of the two states has and the other has not.
MAY_COME = {
    "weir_version": "Weir's own addition",
    "resource_name": "of checks asked for, which the recorded server had collected",
    "expires_in": "of a check's container that nobody has asked for since",
}
MAY_LACK = {"build_id": "of a container of a check that is in memory only"}


class Shapes:
    """What objects look like at each place of one or several bodies."""

    def __init__(self):
        self.keys = {}  # place → list of key sequences
        self.kinds = {}  # place → kinds of value

    def add(self, node, place="$"):
        self.kinds.setdefault(place, set()).add(kind_of(node))
        if isinstance(node, dict):
            if place.rpartition(".")[2] in FREE:
                return self
            self.keys.setdefault(place, []).append(list(node))
            for key, value in node.items():
                self.add(value, f"{place}.{key}")
        elif isinstance(node, list):
            for value in node:
                self.add(value, place + "[]")
        return self

    def before(self, place):
        """Pairs of keys of which the first was seen before the second."""
        return {(first, second) for keys in self.keys.get(place, []) for at, first in enumerate(keys) for second in keys[at + 1:]}


def shape_differences(ours, theirs):
    found = []
    for place, sequences in ours.keys.items():
        known = theirs.keys.get(place)
        if known is None:
            continue  # nothing like it was recorded here
        allowed, always = set().union(*known), set.intersection(*map(set, known))
        order = theirs.before(place)
        for keys in sequences:
            found += [f"{place}: key {key} is not in the recording" for key in keys if key not in allowed and key not in MAY_COME]
            found += [f"{place}: key {key} is missing" for key in sorted(always - set(keys) - set(MAY_LACK))]
            found += [f"{place}: {second} comes before {first}" for at, second in enumerate(keys) for first in keys[at + 1:]
                      if (first, second) in order and (second, first) not in order]
    for place, kinds in ours.kinds.items():
        if place in theirs.kinds and not kinds <= theirs.kinds[place]:
            found.append(f"{place}: {sorted(kinds)}, recorded {sorted(theirs.kinds[place])}")
    return sorted(set(found))


# ---- the server in a state like the recorded one's ------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    why = house.missing()
    if why:
        pytest.skip(why)
    if GOLDEN is None:
        pytest.skip("WEIR_GOLDEN is not set")
    directory = tmp_path_factory.mktemp("http")
    for folder in [directory, *directory.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    server = recordings.make_server(directory)
    server.api = house.Api(server).login()
    prepare(server)
    yield server
    server.stop()


def prepare(server):
    """demo2 with its versions and builds of its jobs; two one-offs, one of them in the pipeline."""
    api, path = server.api, f"/teams/main/pipelines/{PIPELINE}"
    first = (GOLDEN / "pipelines/main.yml").read_bytes()
    # As there, it was changed once: whoever still knows the first version may not save.
    for version, config in enumerate((first, re.sub(b"^  serial: true\n", b"", first, flags=re.M).replace(b": o1", b": o2"))):
        api.call("PUT", path + "/config", config,
                 {"Content-Type": "application/x-yaml", "X-Concourse-Config-Version": str(version)})
    api.call("PUT", path + "/unpause")
    server.builds = {}
    for resource, version in (("repo", "1"), ("repo", "7"), ("other", "o2")):
        body = json.dumps({"from": {"version": version}}).encode()
        build = api.call("POST", f"{path}/resources/{resource}/check", body, {"Content-Type": "application/json"})
        house.Watcher(api, build["id"]).wait()
    server.builds["6"] = house.Watcher(api, first_build(api, path + "/jobs/unit/builds/1")).wait()
    for name, job in (("5", "hello"), ("8", "unit"), ("11", "fails"), ("12", "errs"), ("13", "across"), ("14", "slow")):
        watcher = house.Watcher(api, api.call("POST", f"{path}/jobs/{job}/builds")["id"])
        if job == "slow":
            while not any("started" in event["data"].get("payload", "") for event in list(watcher.events)):
                assert watcher.thread.is_alive()
                watcher.thread.join(0.05)
            api.call("PUT", f"/builds/{watcher.build_id}/abort")
        server.builds[name] = watcher.wait()
    for place in ("/teams/main/builds", path + "/builds"):
        plan = json.dumps({"id": "1", "do": []}).encode()
        house.Watcher(api, api.call("POST", place, plan, {"Content-Type": "application/json"})["id"]).wait()


def first_build(api, path):
    """Of a job that a new version sets off."""
    deadline = time.monotonic() + harness.PATIENCE
    while True:
        try:
            return api.get(path)["id"]
        except house.urllib.error.HTTPError as error:
            assert error.code == 404 and time.monotonic() < deadline
        time.sleep(0.05)


def ask(server, exchange):
    """Sends what the recorded client sent. Status, headers by their lower-case names, body; of a stream its beginning."""
    headers = dict(header.split(": ", 1) for header in exchange.request_headers)
    for name in ("Host", "Content-Length"):
        headers.pop(name, None)
    if "Authorization" in headers:
        headers["Authorization"] = "Bearer " + server.api.token
    path = exchange.path
    if path.endswith("/jobs/unit/inputs"):  # which could not be determined then; here the inputs of another cannot
        path = path.replace("unit", "ship")
    path = re.sub(r"/api/v1/builds/(\d+)", lambda found: f"/api/v1/builds/{server.builds[found[1]].build_id}", path)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.PATIENCE)
    body = "\n".join(exchange.request_body).encode() if exchange.request_body else None
    connection.request(exchange.method, path, body, headers)
    answer = connection.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    if found.get("content-type", "").startswith("text/event-stream"):
        text = b""
        for line in answer:
            text += line
            if line.startswith(b"event: end"):
                break
    else:
        text = answer.read()
    connection.close()
    return answer.status, found, text.decode("utf-8", "surrogateescape")


def settle_header(value):
    return re.sub(r"\b(to|from)=\d+|^\d+$", "N", recordings_compare.settle(value))


def header_differences(ours, exchange):
    theirs = {name.lower(): value for name, value in (header.split(": ", 1) for header in exchange.headers if ": " in header)}
    return recordings_compare.differences("headers", *(
        [f"{name}: {settle_header(value)}" for name, value in sorted(headers.items()) if name not in HEADERS_THAT_VARY]
        for headers in (ours, theirs)))


def body_differences(number, ours, theirs):
    if not theirs.startswith(("{", "[")):
        return recordings_compare.differences("body", ours.splitlines(), theirs.splitlines())
    if number not in EXACT:
        return shape_differences(Shapes().add(json.loads(ours)), Shapes().add(json.loads(theirs)))
    return recordings_compare.compare_json("body", json.loads(ours), json.loads(theirs))


@pytest.mark.parametrize("name, at", recorded())
def test_answer_is_as_recorded(server, name, at):
    number = int(name[:3])
    if number in UNFIT:
        pytest.skip(UNFIT[number])
    exchange = exchanges_of(GOLDEN / f"http/{name}.txt")[at]
    status, headers, body = ask(server, exchange)
    theirs = exchange.answer().decode("utf-8", "surrogateescape")
    assert status == exchange.status
    assert not header_differences(headers, exchange)
    if headers.get("content-type", "").startswith("text/event-stream"):
        assert frame_kinds(body) == {"event", "end"} and frame_shape(body) == frame_shape(theirs)
    else:
        assert not body_differences(number, body, theirs)


def frame_kinds(stream):
    return set(re.findall(r"^event: (.*)$", stream, re.M))


def frame_shape(stream):
    """The first frame, its numbers aside."""
    return re.sub(r"\d+", "N", stream.partition("\n\n")[0])
