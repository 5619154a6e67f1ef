"""Several web nodes on one PostgreSQL: they share the work, hold the limits together, and one that was frozen does no harm."""

import contextlib
import os
import signal
import time

import pytest

import harness
import house
import load

LEASE = ["--node-lease", "3s"]


class Nodes:
    """Two web nodes, `first` and `second`; the worker registers with the second."""

    def __init__(self, place, postgres, fault=None):
        self.database = house.Database(postgres)
        self.first = house.House(place / "first", LEASE, database=self.database)
        self.second = house.House(place / "second", LEASE, ["--connection-drain-timeout", "2s"], self.database)
        self.recorder = None
        for part in (self.first, self.second):
            part.directory.mkdir()
        place.joinpath("second").chmod(0o755)
        self.second.start()
        self.first.start_web(fault)
        self.recorder = house.Recorder(self.second.gateway)

    def stop(self):
        if self.first.web:
            self.first.web.signal(signal.SIGCONT)
        if self.recorder:
            self.recorder.stop()
        try:
            self.first.stop()
        finally:
            self.second.stop()

    def until(self, expect, query):
        """Asks the database until it says so."""
        deadline = time.monotonic() + harness.PATIENCE
        while (got := self.database.psql(query)) != expect:
            assert time.monotonic() < deadline, f"{query}: {got!r}, not {expect!r}"
            time.sleep(0.05)

    def node(self, part):
        return f"/{part.web.pid}"

    def load(self, name, jobs, blocks):
        return load.Load(self.second, name, jobs, blocks=blocks, block=20, pause="0.1", recorder=self.recorder).set()


@contextlib.contextmanager
def two_nodes(place, postgres, fault=None):
    nodes = Nodes(place, postgres, fault)
    try:
        yield nodes
    finally:
        nodes.stop()


def check_all(nodes, work, watchers):
    """As if nothing had happened: the ends, the logs, the effects, each once."""
    for job, watcher in watchers.items():
        watcher.wait()
        want = "failed" if work.fails(job) else "succeeded"
        ends = [(event["event"], event["data"]) for event in watcher.events if event["event"].startswith("finish")]
        assert watcher.status() == want, f"job {job}: {watcher.status()}: {watcher.errors()} {ends}"
        assert work.api.build(watcher.build_id)["status"] == want
        assert work.check_logs(job, watcher) is None
        assert [nodes.recorder.count(f"{work.name} job {job} {task}") for task in load.TASKS] == [1, 1]
        kinds = [(event["event"], event["data"]["origin"]["id"]) for event in watcher.events
                 if event["event"].split("-")[0] in ("initialize", "start", "finish", "error")]
        assert len(kinds) == len(set(kinds)), kinds
        assert len(work.api.builds(work.name, f"job-{job}")) == 1
    # No late append: epochs only grow along each log.
    assert nodes.database.psql(
        "SELECT count(*) FROM log_chunks a JOIN log_chunks b ON a.build_id = b.build_id AND a.first_event < b.first_event "
        "AND a.epoch > b.epoch") == "0"


def test_a_node_that_was_frozen_longer_than_its_lease_does_no_harm(place, postgres):
    with two_nodes(place, postgres) as nodes:
        work = nodes.load("frozen", 6, 60)
        watchers = load.run_at_once(range(6), 6, work.start)
        leases = f"SELECT count(*) > 0 FROM build_leases WHERE node LIKE '%{nodes.node(nodes.first)}'"
        nodes.until("t", leases)
        nodes.recorder.wait_for(6)  # in the middle of tasks
        nodes.first.web.signal(signal.SIGSTOP)
        nodes.until("f", leases)
        nodes.first.web.signal(signal.SIGCONT)
        nodes.first.web.wait_for("lease-lost|build-left")
        check_all(nodes, work, watchers)


# Where the first node freezes: it holds what it is about to do until another has done it.
POINTS = ["build-started", "build-leased", "build-log-append", "build-log-synced", "container-row", "container-answered",
          "journal-running", "process-started", "process-ended", "output-saved", "step-finished", "before-build-finish",
          "build-log-ended", "build-finished", "before-lease-renewal", "db-before-commit", "db-after-commit"]


def freeze_at(place, postgres, point, passage=1):
    if point.startswith("db-"):
        passage += 80  # not while it starts: then it may well give up
    with two_nodes(place, postgres, f"{point}=stop@{passage}") as nodes:
        work = nodes.load("frozen", 4, 4)
        watchers = load.run_at_once(range(4), 4, work.start)
        for watcher in watchers.values():
            watcher.wait()
        state = [line for line in open(f"/proc/{nodes.first.web.pid}/status") if line.startswith("State")][0]
        nodes.first.web.signal(signal.SIGCONT)
        # It is itself again: it answers, and has its share of the buckets.
        api = house.Api(nodes.first).login()
        api.get("/info")
        nodes.until("t", f"SELECT count(*) > 0 FROM lease_buckets WHERE node LIKE '%{nodes.node(nodes.first)}' AND expires > "
                         "extract(epoch FROM now()) * 1000000")
        check_all(nodes, work, watchers)
        return "T" in state.split()[1]


@pytest.mark.parametrize("point", ["container-answered", "db-before-commit"])
def test_frozen_in_a_narrow_window_it_does_no_harm(place, postgres, point):
    freeze_at(place, postgres, point)


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS)
def test_frozen_at_any_point_it_does_no_harm(place, postgres, point, soak):
    print(point, "reached" if freeze_at(place, postgres, point, soak.random.randint(1, 3)) else "not reached")


def most_at_once(lines, names):
    running = most = 0
    for line in lines:
        if line.split()[0] in names:
            running += 1 if line.endswith("begins") else -1
            most = max(most, running)
    return most


def test_serial_jobs_and_max_in_flight_hold_across_nodes(place, postgres):
    with two_nodes(place, postgres) as nodes:
        def job(name, **rest):
            script = (f"wget -q -O /dev/null --post-data '{name} begins' {nodes.recorder.url}; sleep 0.3; "
                      f"wget -q -O /dev/null --post-data '{name} ends' {nodes.recorder.url}")
            return {"name": name, **rest, "plan": [{"task": "t", "config": {
                "platform": "linux", "image_resource": {"type": "mock", "source": {"mirror_self": True}},
                "run": {"path": "sh", "args": ["-c", script]}}}]}

        jobs = [job("serial", serial=True), job("left", serial_groups=["g"]), job("right", serial_groups=["g"]),
                job("two", max_in_flight=2)]
        apis = [house.Api(nodes.first).login(), house.Api(nodes.second).login()]
        apis[0].set_pipeline("limits", {"jobs": jobs})
        names = [job["name"] for job in jobs]
        work = [(name, number) for number in range(6) for name in names]
        load.run_at_once(range(len(work)), 8, lambda i: apis[work[i][1] % 2].trigger("limits", work[i][0]))
        nodes.recorder.wait_for(2 * len(work))
        for name in names:
            nodes.until("6", "SELECT count(*) FROM builds b JOIN jobs j ON j.id = b.job_id WHERE b.status = 'succeeded' "
                             f"AND j.name = '{name}'")
        lines = nodes.recorder.lines
        assert len(lines) == 2 * len(work)
        assert most_at_once(lines, ["serial"]) == 1
        assert most_at_once(lines, ["left", "right"]) == 1
        assert most_at_once(lines, ["two"]) == 2
        runners = nodes.database.psql("SELECT count(DISTINCT node) FROM lease_nodes")
        assert runners == "2"


def test_nodes_share_the_buckets_and_take_over_those_of_a_dead_one(place, postgres):
    with two_nodes(place, postgres) as nodes:
        def shares(part):
            return ("SELECT string_agg(n::text, ' ') FROM (SELECT count(*) AS n FROM lease_buckets WHERE node LIKE "
                    f"'%{nodes.node(part)}' AND work < 2 AND expires > extract(epoch FROM now()) * 1000000 GROUP BY work) s")

        nodes.until("32 32", shares(nodes.first))
        nodes.until("32 32", shares(nodes.second))
        nodes.first.kill("web")
        nodes.until("64 64", shares(nodes.second))
        nodes.first.start_web()
        nodes.until("32 32", shares(nodes.first))
        nodes.first.web.stop()  # gives them up at once
        gone = nodes.node(nodes.first)
        nodes.first.ended("web")
        assert nodes.database.psql(f"SELECT count(*) FROM lease_buckets WHERE node LIKE '%{gone}' AND expires > 0") == "0"
        nodes.until("64 64", shares(nodes.second))
