"""Runs client libraries through Ringway while one of four nodes is in trouble, and writes a table of what became of them:

    tests/clients/outages/run.py OUT RINGWAY [WORD…]

RINGWAY is the program; WORDs choose some of the libraries. All of them work at the same time, each in a process of its
own, in each of these situations, which have a pool with four nodes each:

    dead      the node was killed before the library connected
    hangs     it is stopped while the library is connected
    killed    it is killed while the library works
    rehash    the same, and the other nodes take its keys over
    errors    as `dead`, but the pool shows failures as errors

In all but the last, operations on keys of the other nodes give what they gave before, and those on keys of the broken
node are answered as `on_read_error: miss` and `on_write_error: not_stored` say, without a timeout of the library's own.
What errors do is measured, and shows why they are not the default. Exit code 1 if a library lost anything.

OUT/outages-table.md has the table.
"""

import concurrent.futures
import contextlib
import pathlib
import sys
import threading
import urllib.request

import wording
from client import Client, Keys
from libraries import libraries
from server import Server
from servers import Memcached, Ringway, wait_for

SITUATIONS = {
    "dead": "",
    "hangs": "",
    "killed": "",
    "rehash": ", on_node_down: rehash",
    "errors": ", on_read_error: error, on_write_error: error",
}
NODES = 4
TITLES = ("one of four dead", "hangs", "just killed", "just killed, `rehash`", "dead, errors are shown")
# What a busy machine is late with is no failure; a library waits for thirty.
PATIENCE = "request_timeout: 2s, connect_timeout: 2s, health: {probe_timeout: 5s}"


def main():
    output, ringway, *words = sys.argv[1:]
    output = pathlib.Path(output)
    log = output / "outages.log"
    log.unlink(missing_ok=True)
    said = wording.Wording.of(ringway, log)
    chosen = libraries(output, words)
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack, ringway, log)
        clients = stack.enter_context(Crowd(chosen, cluster, said, log))
        go_through(clients, cluster)
    table = ["| client | protocol | " + " | ".join(TITLES) + " |", "|---|---|" + "---|" * len(TITLES)]
    for client in clients.all:
        cells = [client.verdicts[situation] for situation in SITUATIONS]
        table.append(f"| {client.library.name} {client.version} | {client.library.protocol} | {' | '.join(cells)} |")
    (output / "outages-table.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))
    lost = [line for client in clients.all for line in client.complaints]
    if lost:
        sys.exit("\n".join(["one node cost more than its own keys:", *lost]))


def go_through(clients, cluster):
    clients.each(lambda client: client.learn(cluster.ports["hangs"]))
    for situation in ("dead", "errors"):
        cluster.victims[situation].kill()
    clients.each(lambda client: client.work("dead", cluster.ports["dead"]))
    # A library that flushes takes what all others have stored.
    clients.each(lambda client: client.flush("dead"))
    clients.each(lambda client: client.go_on("dead"))
    clients.each(lambda client: client.begin("hangs", cluster.ports["hangs"]))
    cluster.victims["hangs"].stop()
    clients.each(lambda client: client.go_on("hangs"))
    for situation in ("killed", "rehash"):
        clients.each(lambda client: client.begin(situation, cluster.ports[situation]))
        clients.while_they_work(situation, cluster.victims[situation].kill)
    clients.each(lambda client: client.suffer("errors", cluster.ports["errors"]))


class Cluster:
    """Ringway with a listener and a pool for each situation; the last node of each pool is its victim."""

    def __init__(self, stack, binary, log):
        nodes = {it: [stack.enter_context(Memcached()) for _ in range(NODES)] for it in SITUATIONS}
        self.victims = {situation: its[-1] for situation, its in nodes.items()}
        pools = ["pools:"]
        for situation, settings in SITUATIONS.items():
            # By their names the same keys are the victim's in every pool.
            its = ", ".join(f'{{address: "{node.address}", name: n{i}}}' for i, node in enumerate(nodes[situation]))
            pools.append(f"  {situation}: {{nodes: [{its}], {PATIENCE}{settings}}}")

        def yaml(ports):
            by = ", ".join(f'"127.0.0.1:{port}": {situation}' for port, situation in zip(ports, SITUATIONS))
            return "\n".join([*pools, "routes:", f"  default: {{by_listener: {{{by}}}, else: dead}}", ""])

        self.ringway = stack.enter_context(Ringway(binary, len(SITUATIONS), yaml, log))
        self.ports = dict(zip(SITUATIONS, self.ringway.ports))

    def keys(self, prefix):
        """Some keys of the victim, and some of the other nodes."""
        keys = Keys([], [])
        for number in range(1000):
            key = f"{prefix}-{number}"
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ringway.admin}/explain?key={key}") as answer:
                is_dead = f'"n{NODES - 1}"' in answer.read().decode()
            keys.add(key, is_dead)
            if keys.are_enough():
                return keys
        raise SystemExit("no key is the victim's")


class Crowd:
    """All clients, each with a thread of its own here."""

    def __init__(self, chosen, cluster, said, log):
        self.pool = concurrent.futures.ThreadPoolExecutor(len(chosen))
        self.all = list(self.pool.map(lambda it: Client(it[1], cluster.keys(f"c{it[0]}"), said, log), enumerate(chosen)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.all:
            client.stop()
        self.pool.shutdown()

    def each(self, step):
        """All take this step, and are waited for."""
        list(self.pool.map(step, self.all))

    def while_they_work(self, situation, trouble):
        """All work; once each has begun, `trouble` is made."""
        broken = threading.Event()
        done = [self.pool.submit(client.work_through, situation, broken) for client in self.all]
        wait_for("all to work", lambda: all(it.has_begun or its.done() for it, its in zip(self.all, done)))
        trouble()
        broken.set()
        for its in done:
            its.result()


main()
