"""Many builds at once: none is lost or stuck, and every log is what its tasks wrote (the house's item 4)."""

import pytest

import house
import load

AT_ONCE = 10


def run_builds(place, count):
    server = house.House(place).start()
    try:
        work = load.Load(server, "many", count, blocks=3, block=100).set()

        def one(job):
            watcher = work.start(job).wait()
            want = "failed" if work.fails(job) else "succeeded"
            assert watcher.status() == want, f"job {job}: {watcher.status()}, {watcher.errors()}"
            assert work.api.build(watcher.build_id)["status"] == want
            difference = work.check_logs(job, watcher)
            assert difference is None, difference
            versions = [event["data"]["version"] for event in watcher.events if event["event"] == "finish-put"]
            assert [version["version"] for version in versions] == ([] if work.fails(job) else [f"v{job}-left"])
            return want

        results = load.run_at_once(range(count), AT_ONCE, one)
        assert len(results) == count
        for job in range(count):
            assert [build["status"] for build in work.api.builds("many", f"job-{job}")] == [results[job]]
        print(f"{count} builds: {list(results.values()).count('succeeded')} succeeded, "
              f"{list(results.values()).count('failed')} failed on purpose")
    finally:
        server.stop()


def test_builds_ten_at_a_time_end_as_they_should(place):
    run_builds(place, 20)


@pytest.mark.soak
def test_a_hundred_builds_ten_at_a_time_end_as_they_should(place):
    run_builds(place, 100)
