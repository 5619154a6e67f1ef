"""Images in containers: fetched by registry-image from a registry of the test, for tasks and for custom resource types."""

import json
import tarfile

import pytest

import harness
import registry


@pytest.fixture(scope="module")
def server(weir, tmp_path_factory):
    """A registry where weir's containers reach it."""
    if registry.missing() or not (harness.RESOURCE_TYPES / "registry-image/rootfs.tgz").exists():
        pytest.skip(registry.missing() or "there is no registry-image resource type")
    running = registry.Registry(tmp_path_factory.mktemp("registry"), weir.gateway)
    yield running
    running.stop()


BUSYBOX = registry.busybox()
USERS = registry.layer({"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\napp:x:4321:99:app:/home/app:/bin/sh\n", "etc/group": b"root:x:0:\nteam:x:77:\n"})
# What an image resource answers with, from within: its params and whether it is privileged.
TYPE = b"""#!/bin/sh
case $0 in
*check) cat >/tmp/request; echo '[{"v":"1"}]' ;;
*in) cat >"$1/request"; echo "$TYPE_ENV" >"$1/env"; id -u >"$1/uid"; cat /proc/self/uid_map >"$1/map"; echo '{"version":{"v":"1"}}' ;;
*) cat >/dev/null; echo '{"version":{"v":"1"}}' ;;
esac
"""


def image_resource(server, name, tag="latest", **more):
    return {"type": "registry-image", "source": {"repository": f"{server.host}/{name}", "tag": tag}, **more}


def task(image, script, **more):
    return {"task": "run", "config": {"platform": "linux", "image_resource": image,
                                      "run": {"path": "sh", "args": ["-c", script], **more}}}


def run(fly, name, plan, status=0, resources=(), types=()):
    """A job of one plan, run to its end; what it printed."""
    fly.set_pipeline(name, json.dumps({"resources": list(resources), "resource_types": list(types), "jobs": [{"name": "job", "plan": plan}]}))
    return fly("trigger-job", "-j", f"{name}/job", "-w", status=status)


def test_a_task_runs_in_the_image_with_its_environment_and_user(server, fly):
    server.push("plain", registry.Image(BUSYBOX, USERS, config={"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "User": "app"}), "latest")
    said = run(fly, "environment", [task(image_resource(server, "plain"), "echo env=$FROM_IMAGE uid=$(id -u) gid=$(id -g) user=$USER; touch here")])
    assert "env=yes uid=4321 gid=99 user=app" in said


@pytest.mark.parametrize("user, expect", [
    ("root", "0:0"), ("1234", "1234:0"), ("1234:55", "1234:55"), ("app", "4321:99"), ("app:team", "4321:77"), ("4321", "4321:99"), ("", "0:0")])
def test_users_are_looked_up_in_the_images_own_files(server, fly, user, expect):
    server.push("users", registry.Image(BUSYBOX, USERS, config={"Env": ["PATH=/bin"], "User": user}), "latest")
    said = run(fly, "users", [task(image_resource(server, "users"), "echo who=$(id -u):$(id -g)")])
    assert f"who={expect}" in said


@pytest.mark.parametrize("user, expect", [("", "0:0"), ("root", "0:0"), ("33", "33:0"), ("33:44", "33:44")])
def test_an_image_without_passwd_takes_numbers_and_root(server, fly, user, expect):
    server.push("bare", registry.Image(BUSYBOX, config={"Env": ["PATH=/bin"], "User": user}), "latest")
    said = run(fly, "bare", [task(image_resource(server, "bare"), "echo who=$(id -u):$(id -g)")])
    assert f"who={expect}" in said


def test_a_user_that_the_image_does_not_have_is_named(server, fly):
    server.push("nobody", registry.Image(BUSYBOX, USERS, config={"Env": ["PATH=/bin"], "User": "ghost"}), "latest")
    said = run(fly, "nobody", [task(image_resource(server, "nobody"), "true")], status=2)
    assert "unable to find user ghost: no matching entries in passwd file" in said


def test_the_tasks_own_user_wins_over_the_images(server, fly):
    server.push("own", registry.Image(BUSYBOX, USERS, config={"Env": ["PATH=/bin"], "User": "root"}), "latest")
    said = run(fly, "own", [task(image_resource(server, "own"), "echo who=$(id -u); touch mine && echo written", user="app")])
    assert "who=4321" in said and "written" in said


def test_a_tasks_params_win_over_the_images_environment_and_a_path_and_home_are_found(server, fly):
    server.push("bare-env", registry.Image(BUSYBOX, USERS, config={"Env": ["FROM_IMAGE=image", "KEPT=image"], "User": "app"}), "latest")
    show = task(image_resource(server, "bare-env"), "echo from=$FROM_IMAGE kept=$KEPT path=$PATH home=$HOME")
    show["config"]["params"] = {"FROM_IMAGE": "task"}
    assert "from=task kept=image path=/usr/local/bin:/usr/bin:/bin home=/home/app" in run(fly, "bare-env", [show])
    show["config"]["run"]["user"] = "root"
    assert "path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin home=/root" in run(fly, "bare-env", [show])


@pytest.mark.parametrize("user", ["ghost:team", "app:ghosts"])
def test_a_user_or_group_of_neither_file_is_named(server, fly, user):
    server.push("ghosts", registry.Image(BUSYBOX, USERS, config={"Env": ["PATH=/bin"]}), "latest")
    said = run(fly, "ghosts", [task(image_resource(server, "ghosts"), "true", user=user)], status=2)
    assert "unable to find " in said and "ghost" in said


def test_a_privileged_task_runs_privileged_in_a_fetched_image(server, fly):
    server.push("privileged", registry.Image(BUSYBOX, registry.layer({"owned": {"data": b"x", "uid": 7}}), config={"Env": ["PATH=/bin"]}), "latest")
    for privileged in (False, True):
        step = {**task(image_resource(server, "privileged"), "echo map=$(cat /proc/self/uid_map); stat -c %u /owned"), "privileged": privileged}
        said = " ".join(run(fly, "privileged", [step]).split())
        assert ("map= 0 0 " in said) is privileged and " 7 " in said


def test_an_image_resource_may_be_of_a_custom_type(server, fly):
    types = [{"name": "mine", "type": "mock", "source": {"mirror_self": True}, "defaults": {"initial_version": "9", "mirror_self": True}}]
    image = {"type": "mine", "source": {}}
    assert "version=9" in run(fly, "of-custom", [task(image, "echo version=$MIRRORED_VERSION")], types=types)


def test_a_types_params_choose_what_is_fetched_of_it(server, fly):
    programs = {f"opt/resource/{one}": TYPE for one in ("check", "in", "out")}
    images = [registry.Image(BUSYBOX, registry.layer({"opt/": b"", "opt/resource/": b"", **programs}), config={"Env": ["PATH=/bin", f"TYPE_ENV={name}"]}, architecture=name)
              for name in ("amd64", "arm64")]
    server.push("both", registry.Index(*images), "latest")
    types = [custom(server, "both", params={"platform": {"architecture": "arm64"}})]
    show = {"task": "show", "config": {"platform": "linux", "inputs": [{"name": "thing"}], "image_resource": {"type": "mock", "source": {"mirror_self": True}},
                                       "run": {"path": "cat", "args": ["thing/env"]}}}
    assert "arm64" in run(fly, "type-params", [{"get": "thing"}, show], resources=[{"name": "thing", "type": "both", "source": {}}], types=types)


def test_an_image_whose_metadata_is_no_json_is_named(server, fly):
    resources = [{"name": "img", "type": "mock", "source": {"create_files": {"rootfs/x": "x", "metadata.json": "{"}}}]
    said = run(fly, "broken", [{"get": "img"}, {"task": "run", "image": "img", "config": {"platform": "linux", "run": {"path": "true"}}}], status=2, resources=resources)
    assert "malformed image metadata: " in said


def test_params_and_a_pinned_version_of_the_image_are_used(server, fly):
    index = registry.Index(registry.Image(BUSYBOX, registry.layer({"which": b"amd"}), config={"Env": ["PATH=/bin"]}),
                           registry.Image(BUSYBOX, registry.layer({"which": b"arm"}), config={"Env": ["PATH=/bin"]}, architecture="arm64"))
    digest = server.push("index", index, "latest")
    said = run(fly, "params", [task(image_resource(server, "index", params={"platform": {"architecture": "arm64"}}), "echo is=$(cat /which)")])
    assert "is=arm" in said
    server.push("index", registry.Image(BUSYBOX, registry.layer({"which": b"newer"}), config={"Env": ["PATH=/bin"]}), "latest")
    said = run(fly, "pinned", [task(image_resource(server, "index", version={"tag": "latest", "digest": digest}), "echo is=$(cat /which)")])
    assert "is=amd" in said


def test_an_image_in_another_format_is_no_image(server, fly):
    server.push("other", registry.Image(BUSYBOX), "latest")
    said = run(fly, "other", [task(image_resource(server, "other", params={"format": "oci"}), "true")], status=2)
    assert "Is the image in rootfs format?" in said


def test_an_image_that_is_not_there_fails_and_says_so(server, fly):
    said = run(fly, "absent", [task(image_resource(server, "no/such"), "true")], status=2)
    assert "version is missing from previous step" in said


def push_type(server, name, **config):
    programs = {f"opt/resource/{one}": TYPE for one in ("check", "in", "out")}
    return server.push(name, registry.Image(BUSYBOX, registry.layer({"opt/": b"", "opt/resource/": b"", **programs}),
                                            config={"Env": ["PATH=/bin", "TYPE_ENV=of the type"], **config}), "latest")


def custom(server, name, **more):
    return {"name": name, **image_resource(server, name), **more}


def test_custom_types_are_fetched_with_defaults_and_may_be_privileged(server, fly):
    push_type(server, "custom")
    server.push("show", registry.Image(BUSYBOX, config={"Env": ["PATH=/bin"]}), "latest")
    for privileged in (False, True):
        types = [custom(server, "custom", privileged=privileged, defaults={"given": "by default", "kept": "by default"})]
        resources = [{"name": "thing", "type": "custom", "source": {"kept": "by source"}}]
        show = {"task": "show", "config": {"platform": "linux", "inputs": [{"name": "thing"}], "image_resource": image_resource(server, "show"),
                                           "run": {"path": "sh", "args": ["-c", "cat thing/request thing/env; echo map=$(cat thing/map)"]}}}
        said = run(fly, f"custom-{privileged}", [{"get": "thing", "params": {"p": str(privileged)}}, show], resources=resources, types=types)
        assert '"given":"by default"' in said.replace(" :", ":") and '"kept":"by source"' in said and "of the type" in said
        assert ("map= 0 0 " in " ".join(said.split())) is privileged


def test_a_type_may_need_another_type_to_be_fetched(server, fly):
    push_type(server, "outer")
    # nested is an image that mock-image fetches, which is an image itself.
    types = [custom(server, "outer"), {"name": "nested", "type": "mock-image", "source": {"mirror_self": True}},
             {"name": "mock-image", "type": "mock", "source": {"mirror_self": True}}]
    resources = [{"name": "thing", "type": "nested", "source": {"initial_version": "7"}}, {"name": "other", "type": "outer", "source": {}}]
    said = run(fly, "nested", [{"get": "thing"}, {"get": "other"}], resources=resources, types=types)
    assert "fetching version: 7" in said


def test_images_that_a_job_got_serve_as_the_image_of_a_task(server, fly):
    server.push("step", registry.Image(BUSYBOX, config={"Env": ["PATH=/bin", "K=from a get"]}), "1.2.3")
    resources = [{"name": "img", "type": "registry-image", "source": {"repository": f"{server.host}/step", "semver_constraint": "1.x"}}]
    plan = [{"get": "img"}, {"task": "run", "image": "img", "config": {"platform": "linux", "run": {"path": "sh", "args": ["-c", "echo k=$K"]}}}]
    assert "k=from a get" in run(fly, "step", plan, resources=resources)


def test_a_put_pushes_what_a_get_brought_and_gets_it_back(server, fly):
    server.push("origin", registry.Image(BUSYBOX, config={"Env": ["PATH=/bin"]}), "latest")
    resources = [{"name": "from", "type": "registry-image", "source": {"repository": f"{server.host}/origin", "tag": "latest"}},
                 {"name": "to", "type": "registry-image", "source": {"repository": f"{server.host}/copied"}}]
    said = run(fly, "put", [{"get": "from", "params": {"format": "oci-layout"}},
                            {"put": "to", "params": {"image": "from/oci", "version": "1.0.0", "bump_aliases": True}}], resources=resources)
    assert "pushing tag(s) 1.0.0, latest, 1, 1.0" in said and "fetching" in said
    assert server.tags("copied") == ["1", "1.0", "1.0.0", "latest"]


def test_a_second_version_fetches_only_the_layers_it_does_not_share(server, fly):
    shared, first, second = (registry.layer({name: name.encode() * 100000}) for name in ("shared", "first", "second"))
    server.push("layers", registry.Image(BUSYBOX, shared, first, config={"Env": ["PATH=/bin"]}), "latest")
    resources = [{"name": "img", "type": "registry-image", "check_every": "never", "source": {"repository": f"{server.host}/layers", "tag": "latest"}}]
    plan = [{"get": "img"}, {"task": "run", "image": "img", "config": {"platform": "linux", "run": {"path": "ls", "args": ["/"]}}}]
    start = len(server.front.lines)
    fly.set_pipeline("layers", json.dumps({"resources": resources, "jobs": [{"name": "job", "plan": plan}]}))
    fly("check-resource", "-r", "layers/img")
    fly("trigger-job", "-j", "layers/job", "-w")
    assert {registry.digest(one) for one in (BUSYBOX, shared, first)} <= set(server.blobs_sent(start))
    image = registry.Image(BUSYBOX, shared, second, config={"Env": ["PATH=/bin"]})
    server.push("layers", image, "latest")
    start = len(server.front.lines)
    fly("check-resource", "-r", "layers/img")
    said = fly("trigger-job", "-j", "layers/job", "-w")
    assert "second" in said and said.count("(kept from an earlier get)") == 2
    assert set(server.blobs_sent(start)) == {registry.digest(second), registry.digest(image.config)}


def test_files_of_images_keep_their_owners_in_containers(server, fly):
    files = {"data/": b"", "data/owned": {"data": b"x", "uid": 4321, "gid": 77, "mode": 0o640}, "data/link": {"type": tarfile.SYMTYPE, "linkname": "owned"},
             "data/hard": {"type": tarfile.LNKTYPE, "linkname": "data/owned"}}
    server.push("owners", registry.Image(BUSYBOX, registry.layer(files), config={"Env": ["PATH=/bin"]}), "latest")
    said = run(fly, "owners", [task(image_resource(server, "owners"), "stat -c '%u:%g %a %h' /data/owned; echo link=$(cat /data/link)")])
    assert "4321:77 640 2" in said and "link=x" in said
