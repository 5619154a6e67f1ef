"""Containers' network (reference 06 §5.11), on a host made of namespaces: a world outside, a host's own rules and resolver.

The whole module runs in a network namespace of its own, web node and worker too.
"""

import itertools
import os
import pathlib
import re
import subprocess

import pytest

import bare
import house
import netns

HERE, THERE, DENIED = "192.0.2.1", "192.0.2.2", "192.0.2.9"
HERE6, THERE6, DENIED6 = "2001:db8::1", "2001:db8::2", "2001:db8::9"
MTU = 1402
GET = "timeout 3 wget -q -O -"


@pytest.fixture(scope="module")
def outside():
    if house.missing():
        pytest.skip(house.missing())
    with netns.away():
        world = netns.Outside([f"{HERE}/24", f"{HERE6}/64"], [f"{THERE}/24", f"{DENIED}/24", f"{THERE6}/64", f"{DENIED6}/64"], MTU)
        world.web, world.web6 = world.serve("0.0.0.0", 80), world.serve("::", 8080)
        yield world
        world.stop()


def sysctls():
    """Every setting of this namespace's network, but those of interfaces that come and go."""
    found = {}
    for folder, _, names in os.walk("/proc/sys/net"):
        if re.search(r"/(conf|neigh)/(?!all|default|lo|up0)", folder):
            continue
        for name in names:
            path = pathlib.Path(folder, name)
            try:
                found[str(path.relative_to("/proc/sys/net"))] = path.read_text()
            except OSError:
                continue
    return found


def rules():
    """The rules that are not the worker's."""
    text = netns.run("nft", "list", "ruleset")
    return re.sub(r"^table inet weir_\w+ \{.*?^\}\n", "", text, flags=re.S | re.M)


def interfaces():
    return set(re.findall(r"^\d+: ([^:@]+)", netns.run("ip", "-o", "link"), re.M))


class Host:
    """A house behind a host's own resolver and rules, with these flags of its worker."""

    numbers = itertools.count()

    def __init__(self, place, *flags, host_access=False):
        number = next(Host.numbers)
        self.root = bare.make_root(place)
        netns.run("nft", "-f", "-", text="table ip hosts_own { chain input { type filter hook input priority 10; tcp dport 7 drop; }; }\n")
        self.before = sysctls(), rules(), interfaces()
        resolv = place / "resolv.conf"
        resolv.write_text(f"nameserver 127.0.53.{number}\n")
        self.names = netns.Names(f"127.0.53.{number}", {"far.example": THERE})
        self.house = house.House(place, worker_flags=flags)
        self.house.host_access = host_access
        self.house.worker_prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
        self.house.start()
        self.own, self.port = netns.Web("0.0.0.0", 8000 + number), 8000 + number
        self.api = house.Api(self.house).login()
        self.count = 0

    def run(self, script, step={}):
        """What it says in a container, and how the build ended."""
        self.count += 1
        watcher = bare.start(self.api, f"p{self.count}", [bare.task(self.root, script, step=step)]).wait()
        return bare.said(watcher), watcher.status()

    def stop(self):
        self.own.stop()
        self.names.stop()
        self.house.stop()
        netns.run("nft", "delete", "table", "ip", "hosts_own")


def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("net")
    for one in [place, *place.parents]:
        if one.stat().st_uid == os.geteuid() and str(one).startswith("/tmp/"):
            one.chmod(0o755)
    return place


# The kernel's own: of forwarding, what else it changes with it.
FORWARDING = re.compile(r"^ipv[46]/(ip_forward|conf/\w+/(forwarding|accept_redirects|mc_forwarding|ndisc_evict_nocarrier))$")


def test_nothing_else_of_the_host_is_changed_and_all_of_ours_goes(outside, tmp_path_factory):
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        pathlib.Path("/proc/sys/net", name).write_text("0")
    host = Host(folder(tmp_path_factory))
    try:
        assert host.run(f"{GET} http://{THERE}/") == ("hello\n", "succeeded")
        before, after = host.before[0], sysctls()
        # What is new belongs to a module that was loaded meanwhile; the other counts.
        changed = {name for name in before if before[name] != after.get(name) and name != "netfilter/nf_conntrack_count"}
        assert {name for name in changed if not FORWARDING.match(name)} == set()
        assert not any(name.startswith("ipv6/") for name in changed)
        assert rules() == host.before[1]
        assert [name for name in interfaces() - host.before[2] if not re.match(r"weir|w[0-9a-f]{5}-", name)] == []
    finally:
        host.stop()
    assert interfaces() == host.before[2]
    assert "weir_" not in netns.run("nft", "list", "ruleset")


def test_the_host_and_its_mtu_and_servers_are_as_they_are_told(outside, tmp_path_factory):
    place = folder(tmp_path_factory)
    hooks = place / "hooks"
    hooks.mkdir()
    (hooks / "note.json").write_text(
        '{"version": "1.0.0", "hook": {"path": "/bin/sh", "args": ["sh", "-c", "cat >> %s/seen"]}, "when": {"always": false}, "stages": ["createRuntime"]}' % place)
    host = Host(place, "--containerd-mtu", "1300", "--containerd-dns-server", "192.0.2.53", "--dns-proxy-enable", "--containerd-oci-hooks-dir", hooks,
                "--containerd-bin", "/no/such", host_access=True)
    try:
        said, _ = host.run(f"{GET} http://{host.house.gateway}:{host.port}/; cat /sys/class/net/eth0/mtu /etc/resolv.conf; ip -6 addr show dev eth0 | grep global || echo plain")
        assert said == f"hello\n1300\nnameserver 192.0.2.53\nnameserver {host.house.gateway}\nplain\n"
        assert '"status":"creating"' in (place / "seen").read_text().replace(" ", "")
        assert re.search(r"setting-without-effect.*containerd-bin", host.house.worker.output)
    finally:
        host.stop()


@pytest.fixture(scope="module")
def closed(outside, tmp_path_factory):
    """Without access to the host; with everything that narrows or adds."""
    host = Host(folder(tmp_path_factory), "--containerd-restricted-network", f"{DENIED}/32", "--containerd-restricted-network", DENIED6,
                "--containerd-external-ip", HERE, "--containerd-dns-proxy-enable", "--containerd-v6-enable",
                "--containerd-additional-hosts", f"{THERE} added.example")
    yield host
    host.stop()


def test_the_world_is_reached_with_the_hosts_address(closed, outside):
    assert closed.run(f"{GET} http://{THERE}/") == ("hello\n", "succeeded")
    assert outside.web.peers[-1] == HERE


def test_a_restricted_network_is_not_reached(closed):
    assert closed.run(f"{GET} http://{DENIED}/ 2>&1 || echo no")[0].endswith("no\n")


def test_the_host_is_not_reached_but_its_gateway_echoes(closed):
    gateway = closed.house.gateway
    said, _ = closed.run(f"for host in {gateway} {HERE}; do {GET} http://$host:{closed.port}/ || echo no; done 2>/dev/null; ping -c 1 -W 2 {gateway} | grep received")
    assert said.startswith("no\nno\n1 packets transmitted, 1 packets received"), said


def test_names_are_asked_of_the_hosts_own_resolver_through_the_proxy(closed):
    said, _ = closed.run(f"cat /etc/resolv.conf; {GET} http://far.example/; nslookup none.example >/dev/null 2>&1 || echo none")
    assert said == f"nameserver {closed.house.gateway}\nhello\nnone\n"
    assert "far.example" in closed.names.asked


def test_additional_hosts_are_known(closed):
    assert closed.run(f"{GET} http://added.example/")[0] == "hello\n"


def test_the_mtu_is_that_of_the_interface_with_the_external_address(closed):
    assert closed.run("cat /sys/class/net/eth0/mtu")[0] == f"{MTU}\n"


def test_a_container_has_an_address_of_ipv6_too(closed, outside):
    said, _ = closed.run(f"{GET} 'http://[{THERE6}]:8080/'; {GET} 'http://[{DENIED6}]:8080/' 2>/dev/null || echo no; "
                         f"{GET} 'http://[fd9c:31a6:c759::1]:{closed.port}/' 2>/dev/null || echo no")
    assert said == "hello\nno\nno\n"
    assert outside.web6.peers[-1] == HERE6


def test_a_hermetic_task_has_no_network_at_all(closed):
    urls = f"http://{THERE}/ http://{closed.house.gateway}:{closed.port}/ http://[{THERE6}]:8080/"
    said, status = closed.run(
        f"cat /etc/resolv.conf; for url in {urls}; do ({GET} $url 2>/dev/null || echo no) & done; "
        f"(ping -c 1 -W 1 {closed.house.gateway} >/dev/null || echo no) & (timeout 3 nslookup far.example >/dev/null 2>&1 || echo no) & "
        "wait; ping -c 1 127.0.0.1 | grep received", step={"hermetic": True})
    assert said.startswith("no\n" * 5 + "1 packets transmitted, 1 packets received"), said
    assert status == "succeeded"


@pytest.mark.parametrize("flags, environment, text", [
    (("--containerd-external-ip", "203.0.113.9"), {}, "no network interface has the external IP 203.0.113.9"),
    (("--containerd-v6-enable", "--containerd-v6-pool", "fd00::/129"), {}, "invalid IPv6 network pool: fd00::/129"),
    (("--containerd-v6-enable", "--containerd-v6-pool", "fd00::/120", "--containerd-network-pool", "10.210.0.0/16"), {}, "the IPv6 network pool fd00::/120 has less room than 10.210.0.0/16"),
    (("--containerd-restricted-network", "denied.example"), {}, "invalid restricted network: denied.example"),
    (("--containerd-additional-hosts", "name-only"), {}, 'invalid host entry "name-only": must have IP and hostname separated by a space'),
    ((), {"CONCOURSE_GARDEN_DENY_NETWORK": "10.0.0.0/8"}, "cannot use CONCOURSE_GARDEN_ environment variables with Containerd: CONCOURSE_GARDEN_DENY_NETWORK"),
])
def test_what_cannot_be_done_is_said_at_once(outside, place, flags, environment, text):
    ended = subprocess.run([house.WORKER, "--work-dir", place / "worker", "--containerd-init-bin", house.INIT, *flags],
                           env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"error: {text}"


RUNTIME_FLAGS = """config bin init-bin seccomp-profile oci-hooks-dir cni-plugins-dir log-level request-timeout max-containers privileged-mode
    allowed-device external-ip dns-proxy-enable dns-server additional-hosts restricted-network network-pool mtu allow-host-access v6-enable v6-pool
    v6-disable-masquerade"""


def test_help_names_every_setting_of_the_runtime():
    if not house.WORKER.exists():
        pytest.skip(f"there is no {house.WORKER}")
    text = subprocess.run([house.WORKER, "--help"], capture_output=True, text=True, check=True).stdout
    assert [flag for flag in RUNTIME_FLAGS.split() if not re.search(rf"--containerd-{flag}\b", text)] == []
