"""The harness itself: what other tests rely on when something goes wrong."""

import re
import sys

import pytest

import harness


def test_a_process_that_ends_early_says_what_it_said():
    process = harness.Process([sys.executable, "-c", "print('no luck'); raise SystemExit(3)"])
    with pytest.raises(AssertionError, match="no luck"):
        process.wait_for("ready", timeout=20)
    assert process.wait() == 3


def test_a_line_is_found_even_when_it_came_before():
    process = harness.Process([sys.executable, "-uc", "print('ready 1'); print('ready 2'); import sys; sys.stdin.read()"],
                              stdin=-1)
    assert process.wait_for("ready 2", timeout=20) == "ready 2"
    assert process.wait_for("ready", timeout=20) == "ready 1"
    process.child.stdin.close()
    assert process.wait() == 0


def test_git_server_serves_and_takes_commits(tmp_path):
    server = harness.GitServer(tmp_path, "127.0.0.1")
    repository = server.repository()
    commit = repository.commit("first", {"a/b.sh": "#!/bin/sh\n"})
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert repository.git("ls-remote", repository.uri, "refs/heads/main").split()[0] == commit
    repository.git("tag", "one")
    repository.git("push", "-q", repository.uri, "one")
    assert repository.tags() == ["one"]
    server.stop()


def test_postgres_answers(postgres):
    assert postgres
