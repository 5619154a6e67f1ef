"""Recorded builds, run again on our server by our fly: every command's output, every event, plan and object is as recorded."""

import concurrent.futures
import os

import pytest

import harness
import house
import recordings
import recordings_compare

AT_ONCE = 6

# What a case needs that this driver or the server does not have, by area/slug or area/*.
UNSUPPORTED = {}


def reason_to_skip(name):
    return UNSUPPORTED.get(name) or UNSUPPORTED.get(name.split("/")[0] + "/*")


CASES = [(place, name) for place in ("given", "held") for name in recordings.case_names(place)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """The selected cases, several at once, on one server."""
    why = house.missing() or (None if harness.FLY.exists() else f"there is no fly in {harness.BUILD}")
    if why:
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("recorded")
    for folder in [directory, *directory.parents]:
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    server = recordings.make_server(directory)
    home = directory / "home"
    home.mkdir()
    harness.Fly(server, home).login("dev")
    pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)

    def run(place, name):
        run = recordings.Run(server, home, recordings.Case(name, place), directory / place / name).do()
        return run, recordings_compare.compare(run)  # at once: a check in memory is forgotten after the next

    try:
        selected = [(item.callspec.params["place"], item.callspec.params["name"]) for item in request.session.items
                    if getattr(item, "originalname", "") == "test_build_is_as_recorded"]
        yield {case: pool.submit(run, *case) for case in selected if not reason_to_skip(case[1])}
    finally:
        pool.shutdown(cancel_futures=True)
        server.stop()


@pytest.fixture(scope="module")
def shapes():
    """The shape of every event in every recording."""
    return {shape for place, name in CASES for build in recordings.Case(name, place).builds
            for shape in recordings_compare.shapes_of(build.events)}


@pytest.mark.parametrize("place, name", CASES, ids=[name for _, name in CASES])
def test_build_is_as_recorded(runs, shapes, place, name):
    if reason_to_skip(name):
        pytest.skip(reason_to_skip(name))
    run, found = runs[place, name].result()
    for watcher in run.watchers.values():
        found += [f"no recorded event has this shape: {shape}" for shape in
                  recordings_compare.shapes_of(watcher.events) - shapes]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("place, name", CASES, ids=[name for _, name in CASES])
def test_watch_prints_the_events_as_we_expect_it_to(place, name):
    """What our fly's output is compared with is true of the stock client's too."""
    for build in recordings.Case(name, place).builds:
        text = recordings.read_text(build.directory / "watch.txt")
        status = recordings_compare.exit_status_of(build.events) if build.status else 0
        assert text == recordings_compare.render(build.events) + f"[exit {status}]\n"


@pytest.mark.skipif(bool(CASES), reason="the recordings are there")
def test_recordings_are_at_hand():
    pytest.skip("WEIR_GOLDEN is not set")
