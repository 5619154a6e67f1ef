"""What differs between a recorded build and ours, as lines; no lines when they are alike.

What varies by its nature (golden/builds/README.md, "What varies, and how to compare") is taken out of both sides, here and
nowhere else: ids, times, handles and addresses; what a cache makes of a get or an image; the order among parallel members.
"""

import difflib
import json
import re

import recorded_secrets
import recordings
from recordings import Names, load, origin

BOLD = "\033[1m{}\033[0m".format
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

# What is in the text of a log or a message and says nothing. (pattern, what stands for it)
VARYING = [
    (UUID, "HANDLE"),
    (re.compile(r"http://(?:localhost|127\.0\.0\.1):\d+"), "URL"),
    (re.compile(r"\bbuilds/\d+"), "builds/N"),
    (re.compile(r"\b(BUILD_(?:JOB_|PIPELINE_|TEAM_)?ID)=\d+ *"), r"\1=N "),
    (re.compile(r"(ATC_EXTERNAL_URL=URL) *"), r"\1 "),
    (re.compile(r"\[0\d{3}\]"), "[SECONDS]"),  # since the resource's script began
    (re.compile(r"\bpipe:\[\d+\]"), "pipe:[INODE]"),
    (re.compile(r"\b[A-Z][a-z]{2} [ \d]\d \d\d:\d\d\b"), "DATE"),
    # Every worker has a network of its own. Upstream's containers have a link-local address and a route too many beside it.
    (re.compile(r" *inet6 fe80:\S+ scope link \\r\\n"), ""),
    (re.compile(r"\d+\.\d+\.\d+\.\d+/\d+ via \S+ dev eth0 \\r\\n"), ""),
    (re.compile(r"(?<![\d.])10\.\d+\.\d+\.\d+(/\d+)?"), "ADDRESS"),
    # Two processes at the ends of a pipe, one of them killed: who is heard first is chance.
    (re.compile(r"(?<!\d)0\\r\\n(Killed|Terminated)\\r\\n"), r"\1\\r\\n0\\r\\n"),
]

# Where ours is not to be like the recording: case, part → why.
DIFFERENT = {
    ("set_pipeline/changed", "output of fly -t dev set-pipeline -n"):
        "the pipelines that the case sets were there already from an earlier try",
    ("builds/plan-two-kinds", "plan.json"): "a plan of two kinds runs as the first; upstream shows the other one too",
}


def settle(text):
    for pattern, stands_for in VARYING:
        text = pattern.sub(stands_for, text)
    return text


def differences(what, ours, theirs):
    if ours == theirs:
        return []
    return list(difflib.unified_diff(theirs, ours, f"recorded {what}", f"our {what}", lineterm="", n=1))


# ---- events ---------------------------------------------------------------------------------------------------------


class Step:
    """The events of one plan id, logs of one stream joined."""

    def __init__(self, name):
        self.name, self.events = name, []

    def add(self, event):
        if event["event"] == "log" and self.events and self.events[-1][0] == "log" and \
                self.events[-1][2]["origin"]["source"] == event["data"]["origin"]["source"]:
            self.events[-1][2]["payload"] += event["data"]["payload"]
        else:
            self.events.append((event["event"], event["version"], dict(event["data"])))

    def kinds(self):
        return [kind for kind, _, _ in self.events]

    def log(self):
        return "".join(data["payload"] for kind, _, data in self.events if kind == "log")

    def is_get_or_check(self):
        return self.events and self.events[0][0] in ("initialize-get", "initialize-check")

    def ran(self):
        """Of a get or a check: its script did, nothing was found in its place."""
        return "selected-worker" in self.kinds() and "existing resource cache" not in self.log()

    def waited(self):
        return "waiting to acquire resource lock" in self.log()

    def without_run(self):
        """What is left of a get or check when one ran its script and the other found the result: how it ended."""
        shown = [(kind, version, {key: value for key, value in data.items() if key not in ("version", "metadata")})
                 for kind, version, data in self.events if kind not in ("selected-worker", "start", "log")]
        return shown

    def without_loss(self):
        """An unterminated last line of a step that was interrupted or timed out is lost upstream. Here it is not."""
        shown = [(kind, version, dict(data)) for kind, version, data in self.events]
        for (kind, _, data), (following, _, end) in zip(shown, shown[1:]):
            if kind == "log" and following == "error" and end["message"] in ("interrupted", "timeout exceeded"):
                data["payload"] = data["payload"][: data["payload"].rfind("\n") + 1]
        return [event for event in shown if event[0] != "log" or event[2]["payload"]]


def steps_of(events, names):
    steps = {}
    for event in events:
        name = names.of(origin(event)) if origin(event) else ""
        steps.setdefault(name, Step(name)).add(event)
    return steps


def line_of(kind, version, name, data, names):
    data = names.rename({key: value for key, value in data.items() if key != "time"})
    source = data.pop("origin", {}).get("source", "")
    return settle(" ".join(filter(None, [kind, version, name, source, json.dumps(data, ensure_ascii=False)])))


def is_image(name):
    return "/image-" in name


def lines_of(step, name, names):
    lines = [recorded_secrets.without_warnings(line_of(kind, version, name, data, names)) for kind, version, data in step]
    return [line for line in lines if not line.endswith('{"payload": ""}')]


def compare_steps(ours, theirs, our_names, their_names, pipeline):
    found = []
    for name in sorted(set(ours) | set(theirs)):
        us, them = ours.get(name, Step(name)), theirs.get(name, Step(name))
        us_shown, them_shown = us.without_loss(), them.without_loss()
        if us.is_get_or_check() and them.is_get_or_check() and (us.ran(), us.waited()) != (them.ran(), them.waited()):
            us_shown, them_shown = us.without_run(), them.without_run()
        elif us.is_get_or_check() and not us.ran() and not them.ran():  # the metadata is whoever's filled the cache
            us_shown, them_shown = ([(kind, version, {**data, "metadata": None}) for kind, version, data in shown]
                                    for shown in (us_shown, them_shown))
        us_shown, them_shown = lines_of(us_shown, name, our_names), lines_of(them_shown, name, their_names)
        found += differences(f"events of {name or 'the build'}", us_shown,
                             recorded_secrets.hidden(us_shown, them_shown, pipeline))
    return found


def has_parallel(node):
    if isinstance(node, dict):
        return "across" in node or bool(node.get("in_parallel", {}).get("steps")) or \
            any(has_parallel(value) for value in node.values())
    return isinstance(node, list) and any(has_parallel(value) for value in node)


def order_of(events, names):
    """In which order steps begin and end, those that a cache may leave out aside."""
    kept = [(event["event"], names.of(origin(event)) if origin(event) else "") for event in events
            if event["event"] not in ("log", "selected-worker", "start")]
    return [f"{kind} {name}" for kind, name in kept]


def shapes_of(events):
    """Every event's name and version with its keys, in their order, down to the origin's."""
    return {(event["event"], event.get("version"), tuple(event), tuple(event.get("data", {})),
             tuple(event["data"].get("origin", {})) if event["event"] != "end" else ()) for event in events}


def compare_events(ours, recorded, our_plan, pipeline):
    our_names, their_names = Names(our_plan), Names(recorded.plan)
    theirs = [event for event in recorded.events if event["event"] != "end"]
    if not has_parallel((recorded.plan or {}).get("plan")):
        found = differences("order", order_of(ours, our_names), order_of(theirs, their_names))
    else:
        found = []
    found += compare_steps(steps_of(ours, our_names), steps_of(theirs, their_names), our_names, their_names, pipeline)
    return found


# ---- what fly prints of them ----------------------------------------------------------------------------------------


def render(events):
    """`fly watch`, from the events (reference 04 §10.6)."""
    lines = []
    for event in events:
        kind, data = event["event"], event.get("data", {})
        if kind == "log":
            lines.append(data["payload"])
        elif kind == "selected-worker":
            lines.append(f"{BOLD('selected worker:')} {data['selected_worker']}\n")
        elif kind == "waiting-for-worker":
            lines.append(BOLD("no suitable workers found, waiting for worker...") + "\n")
        elif kind == "streaming-volume":
            lines.append(f"{BOLD('streaming volume')} {data['volume']} {BOLD('from worker')} {data['source_worker']}\n")
        elif kind == "initialize-check":
            lines.append(f"{BOLD('initializing check:')} {data['name']}\n")
        elif kind == "initialize-task":
            lines.append(BOLD("initializing") + "\n")
        elif kind == "start-task":
            run = data["config"]["run"]
            lines.append(BOLD("running " + " ".join([run["path"], *(run["args"] or [])])) + "\n")
        elif kind == "error":
            lines.append(data["message"] + "\n")
        elif kind == "status" and data["status"] != "started":
            lines.append(data["status"] + "\n")
    return "".join(lines)


def exit_status_of(events):
    """The last task's exit status if it is not 0, else the build's."""
    task = [event["data"]["exit_status"] for event in events if event["event"] == "finish-task"][-1:]
    status = [event["data"]["status"] for event in events if event["event"] == "status"][-1]
    return task[0] if task and task[0] else ["succeeded", "failed", "errored", "aborted"].index(status)


def without_build(text, events):
    """A command's output with what it shows of a build replaced: the events are compared as such."""
    shown, (head, cut, tail) = render(events), text.partition("\n... (shortened; see watch.txt)\n")
    if cut:
        first = head.partition("\n")[0]
        whole = f"{first}\n{shown}"
        assert whole.startswith(head) and whole.endswith(tail), "what was shortened is not the build's output"
        text = whole
    return text.replace(shown, "…the build…\n")


HEADERS_THAT_VARY = re.compile(r"^(Date|X-Concourse-Version): .*$", re.M)


def settle_headers(text):
    """Of `curl -i`: the order of headers says nothing."""
    first, newline, rest = text.partition("\n")
    headers, end, body = rest.partition("\n\n")
    return first + newline + "\n".join(sorted(HEADERS_THAT_VARY.sub(r"\1: VARIES", headers).splitlines())) + end + body


def settle_output(text):
    text = settle(text).replace("\r\n", "\n")
    text = re.sub(r"\bin build \d+|\bexecuting build \d+", lambda found: re.sub(r"\d+", "N", found[0]), text)
    if text.startswith("HTTP/1.1 "):
        text = settle_headers(text)
    if text.startswith('{"id":'):
        first, newline, rest = text.partition("\n")
        text = json.dumps(stable(json.loads(first))) + newline + rest
    return text if text.endswith("\n") or not text else text + "\n"


def compare_outputs(run):
    found = []
    for command, output, status in run.outputs:
        what = " ".join(command.words[:5])
        ours, theirs = output, command.output
        for recorded, watcher in run.watchers.items() if command.verb in ("check-resource", "check-resource-type", "execute") else ():
            build = run.case.build(recorded)
            if build:
                ours, theirs = without_build(ours, watcher.events), without_build(theirs, build.events)
        if (run.case.name, f"output of {what}") in DIFFERENT:
            continue
        found += differences(f"output of {what}", settle_output(ours).splitlines(), settle_output(theirs).splitlines())
        found += differences(f"exit status of {what}", [str(status)], [str(command.status)])
    return found


def compare_watch(run, build):
    watcher = run.watchers[build.id]
    recorded = recordings.read_text(build.directory / "watch.txt")
    output, status = run.call(["fly", "-t", "dev", "watch", "-b", str(watcher.build_id)])
    found = differences("watch", output.splitlines(), render(watcher.events).splitlines())
    found += differences("exit status of watch", [f"[exit {status}]"], recorded.splitlines()[-1:])
    return found


# ---- objects of the API ---------------------------------------------------------------------------------------------


def stable(node, key=None):
    """An API object without ids, times and counters; the order of its keys is kept."""
    if isinstance(node, dict):
        one_off = "api_url" in node and not node.get("job_name") and str(node.get("name")).isdigit()
        return {name: "N" if one_off and name == "name" else stable(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [stable(value) for value in node]
    if isinstance(node, int) and not isinstance(node, bool) and key is not None:
        if key == "id" or key.endswith("_id"):
            return "ID"
        if key.endswith("_time") or key in ("last_checked", "time"):
            return "TIME"
    return settle(node) if isinstance(node, str) else node


def pretty(node):
    return json.dumps(node, indent=1).splitlines()


def compare_json(what, ours, theirs):
    return differences(what, pretty(stable(ours)), pretty(stable(theirs)))


def in_any_order(resources):
    """The rows of a build's inputs and outputs come in no particular order."""
    return {key: sorted(rows, key=json.dumps) for key, rows in resources.items()}


def answer(api, path):
    """The JSON of a GET, or what the recordings keep of an error."""
    try:
        return api.call("GET", path)
    except recordings.house.urllib.error.HTTPError as error:
        return {"http_status": error.code, "body": error.body}


def compare_objects(run, build):
    number, api = run.ids[build.id], run.api
    found = []
    for name, path in (("build", ""), ("preparation", "/preparation"), ("resources", "/resources"), ("plan", "/plan")):
        theirs = load(build.directory / f"{name}.json")
        if theirs is None:
            continue
        ours = answer(api, f"/builds/{number}{path}")
        if name == "resources" and "inputs" in theirs and "inputs" in ours:
            ours, theirs = in_any_order(ours), in_any_order(theirs)
        if name == "plan":
            ours, theirs = Names(ours).rename(ours), Names(theirs).rename(theirs)
        if (run.case.name, f"{name}.json") not in DIFFERENT:
            found += compare_json(f"{name}.json", ours, theirs)
    return found


def compare_case_objects(run):
    directory, found = run.case.directory, []
    for name, ours in run.pending.items():
        if (directory / name).exists():
            found += compare_json(name, ours, load(directory / name))
    resource = load(directory / "resource.json")
    if resource and "name" in resource:
        path = run.path(f"/resources/{resource['name']}")
        ours = answer(run.api, path)
        found += compare_json("resource.json", Names(ours["build"]).rename(ours) if "build" in ours else ours,
                              Names(resource["build"]).rename(resource) if "build" in resource else resource)
        versions = load(directory / "versions.json")
        if versions is not None:
            found += compare_json("versions.json", answer(run.api, path + "/versions"), versions)
    job = next((build.job for build in run.case.builds if build.job), None)
    for name, path in (("job.json", f"/jobs/{job}"), ("job-builds.json", f"/jobs/{job}/builds")):
        theirs = load(directory / name)
        if theirs is not None:
            found += compare_json(name, answer(run.api, run.path(path)), theirs)
    return found


def compare_files(run):
    """What `execute -o` downloaded."""
    found = []
    for command in run.case.commands:
        if command.verb == "execute" and command.option("-o"):
            folder = command.option("-o").partition("=")[2]
            ours, theirs = ({str(path.relative_to(root / folder)): path.read_text() for path in (root / folder).rglob("*")
                             if path.is_file()} for root in (run.place, run.case.directory))
            found += differences(f"files in {folder}", pretty(ours), pretty(theirs))
    return found


def compare(run):
    found = compare_outputs(run)
    for build in run.case.builds:
        watcher = run.watchers[build.id]
        found += differences("status", [watcher.status()], [build.status or watcher.status()])
        plan = answer(run.api, f"/builds/{watcher.build_id}/plan")
        found += compare_events(watcher.events, build, plan, run.case.source())
        found += compare_watch(run, build)
        found += compare_objects(run, build)
    return found + compare_case_objects(run) + compare_files(run)
