"""kill -9 of web, worker, both, a shim, the OCI runtime, at random moments and at every fault point, on both databases."""

import pytest

import faults
import house
import kills


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    if request.param == "sqlite":
        return None
    return house.Database(request.getfixturevalue("postgres"))


def sample(random):
    """Five ways, other ones with each seed."""
    return random.sample(kills.ways_at_random(), 2) + random.sample(kills.ways_at_points(), 3)


def test_whoever_is_killed_nothing_is_lost_or_done_twice(place, soak, database):
    print(f"seed {soak.seed}")
    kills.run(place, soak.random, sample(soak.random), database)


@pytest.mark.soak
def test_killed_anywhere_nothing_is_lost_or_done_twice(place, soak, database):
    """All points twice, and each random way eight times: more than a hundred rounds on either database, at random moments
    with as many builds at a time as the hundred of test_hundred_builds."""
    ways = 2 * kills.ways_at_points() + 8 * kills.ways_at_random()
    assert len(ways) >= 100
    print(f"seed {soak.seed}")
    soak.random.shuffle(ways)
    kills.run(place, soak.random, ways, database, at_once=10)


def test_every_fault_point_stands_in_the_code():
    sources = "".join(path.read_text() for path in (house.harness.ROOT / "src").rglob("*.c") if path.name != "fault.c")
    points = faults.points("web") + faults.points("worker")
    assert len(points) > 30
    assert [point for point in points if f'fault_here("{point}")' not in sources] == []
