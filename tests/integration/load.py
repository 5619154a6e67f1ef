"""The load of the long tests: jobs with two gets, an in_parallel of two tasks handing on an output, and a put.

Each job runs once and writes lines of its own, so that every byte of every log is known beforehand.
"""

import http.client
import threading

from house import Api, Watcher

TASKS = ("left", "right")


def lines(job, task, count):
    """What the task prints, as its terminal delivers it."""
    return "".join(f"job {job} {task} line {number:06d}\r\n" for number in range(count))


def output_of(job, task, count):
    return f"from {task}.\r\n" + lines(job, task, count) + f"{task} is done.\r\n"


class Load:
    """Jobs 0…count-1 of one pipeline. Every twentieth fails on purpose, from `first_failing` on."""

    def __init__(self, house, name, count, *, blocks=1, block=100, pause="0", recorder=None, put=None, first=None, first_failing=7):
        self.house, self.name, self.count = house, name, count
        self.blocks, self.block, self.pause = blocks, block, pause
        self.recorder, self.put, self.first, self.first_failing = recorder, put, first, first_failing
        self.api = Api(house).login()

    def fails(self, job):
        return job % 20 == self.first_failing

    def task(self, job, task):
        """Posts its side effect once, prints numbered lines in blocks, leaves an output."""
        post = f"wget -q -O /dev/null --post-data '{self.name} job {job} {task}' {self.recorder.url}; " if self.recorder else ""
        script = (
            f"echo from {task}.; {post}"
            f"b=0; while [ $b -lt {self.blocks} ]; do "
            f"awk -v b=$b 'BEGIN {{ for (i = b * {self.block}; i < (b + 1) * {self.block}; i++)"
            f" printf \"job {job} {task} line %06d\\n\", i }}'; "
            f"[ {self.pause} = 0 ] || sleep {self.pause}; b=$((b + 1)); done; "
            f"cat first/name second/name > /dev/null || exit 9; "
            f"printf v{job}-{task} > {task}-out/version; echo {task} is done.")
        if task == "right" and self.fails(job):
            script += "; exit 3"
        return {"task": task, "config": {
            "platform": "linux",
            "image_resource": {"type": "mock", "source": {"mirror_self": True}},
            "inputs": [{"name": "first"}, {"name": "second"}],
            "outputs": [{"name": f"{task}-out"}],
            "run": {"path": "sh", "args": ["-c", script]}}}

    def config(self):
        resources = [{"name": name, "type": "mock",
                      "source": {"initial_version": f"{name}-1", "create_files": {"name": name}}}
                     for name in ("first", "second")]
        if self.first:
            resources[0] = {"name": "first", **self.first}
        if not self.put:
            resources.append({"name": "sink", "type": "mock", "source": {"no_initial_version": True}})
        jobs = []
        for job in range(self.count):
            put = self.put(job) if self.put else {"put": "sink", "params": {"file": "left-out/version"}}
            jobs.append({"name": f"job-{job}", "plan": [
                {"in_parallel": [{"get": "first"}, {"get": "second"}]},
                {"in_parallel": [self.task(job, task) for task in TASKS]}, put]})
        return {"resources": resources, "jobs": jobs}

    def set(self, extra_resources=()):
        config = self.config()
        config["resources"] += extra_resources
        self.api.set_pipeline(self.name, config)
        return self

    def trigger(self, job):
        """The build's number, also when the answer that named it was lost."""
        while True:
            try:
                return self.api.trigger(self.name, f"job-{job}")
            except (OSError, http.client.HTTPException):
                builds = self.api.builds(self.name, f"job-{job}")
                if builds:
                    return builds[0]["id"]

    def start(self, job):
        """Triggers the job; a watcher that follows its build."""
        return Watcher(self.api, self.trigger(job))

    def expected(self, job, task):
        return output_of(job, task, self.blocks * self.block)

    def check_logs(self, job, watcher):
        """Byte for byte; None, or what differs."""
        for plan_id, (kind, name) in self.api.plan_names(watcher.build_id).items():
            if kind != "task":
                continue
            got, want = watcher.output(plan_id), self.expected(job, name)
            if got != want:
                at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                return (f"build {watcher.build_id} job {job} {name}: {len(got)} bytes, not {len(want)}; differs at {at}: "
                        f"{got[max(0, at - 40):at + 60]!r}, expected {want[max(0, at - 40):at + 60]!r}")
        return None


def run_at_once(jobs, at_once, one):
    """Calls one(job) for each, `at_once` at a time. Returns {job: result}; the first failure is raised."""
    todo, results, failures = list(reversed(jobs)), {}, []
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not todo or failures:
                    return
                job = todo.pop()
            try:
                results[job] = one(job)
            except BaseException as error:
                with lock:
                    failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
