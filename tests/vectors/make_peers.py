#!/usr/bin/env python3
"""Asks every other client that can be had here where keys go, and `rules.py` for those that cannot.

    python3 make_peers.py                    writes peers.jsonl beside itself, from the keys in keys.json
    python3 make_peers.py --memcached-proxy  only the cases of memcached's proxy; the other lines stay

Needs Linux, what `make.py` needs, and Debian's packages ruby-dalli, golang-github-bradfitz-gomemcache-dev,
libspymemcached-java with a JDK, php-memcached; and from PyPI pymemcache and python-memcached. MEMCACHED_PROXY
names a memcached 1.6.45 that was built with `./configure --enable-proxy`.
"""
import ctypes
import functools
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

import make
import rules
from make import HERE, node

ASK = HERE / "ask"
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def host(i):
    """A distinct address for each i."""
    return f"10.0.{i // 200}.{i % 200 + 1}"


def clusters(weighs, counts=(1, 2, 3, 7, 25, 100, 512)):
    """(title, nodes): what every peer is asked about."""
    for count in counts:
        yield f"{count} equal nodes", [node(host(i)) for i in range(count)]
    yield "ports", [node(host(i // 3), [11211, 11212, 9000][i % 3]) for i in range(13)]
    if weighs:
        yield "weights 1 2 3", [node(host(i), weight=i + 1) for i in range(3)]
        yield "equal weights of 7", [node(host(i), weight=7) for i in range(25)]
        dice = random.Random(6)
        for count in [5, 12, 40]:
            yield f"{count} random weights", [node(host(i), 11211 + i % 2, dice.randrange(1, 21)) for i in range(count)]
        yield "a node of little weight", [node(host(i), weight=w) for i, w in enumerate([1000, 1, 900, 500])]


def told(asked, cases):
    """What a program reads: keys, then cases with their nodes. A preset may have the peer's name of a hash behind it."""
    lines = [f"keys {len(asked)}"] + [key.hex() for key in asked]
    for preset, nodes, out in cases:
        name, _, hash_name = preset.partition(" ")
        lines.append(f"case {name} {len(nodes)} {hash_name or '-'}")
        for at, n in enumerate(nodes):
            state = "down" if at in out else "up"
            lines.append(f"{n.get('hostname') or '-'} {n['host']} {n['port']} {n['weight']} {state}")
    return "\n".join(lines) + "\n"


def answers(command, asked, cases, **more):
    """The picks of a program for each case."""
    done = subprocess.run(command, input=told(asked, cases), text=True, capture_output=True, **more)
    assert done.returncode == 0, done.stderr
    picks = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert [len(p) for p in picks] == [len(asked)] * len(cases), (command, [len(p) for p in picks])
    return picks


def case(title, preset, nodes, picks, source, out=(), **parts):
    """One line. A node with a host name has the name that spymemcached gives it."""
    named = [[n["host"], n["port"], n["weight"],
              f"{n['hostname']}/{n['host']}:{n['port']}" if n.get("hostname") else n["name"]] for n in nodes]
    width = 1 if len(nodes) <= len(DIGITS) else 2
    digit = lambda pick: "-" * width if pick < 0 else (
        DIGITS[pick] if width == 1 else DIGITS[pick // len(DIGITS)] + DIGITS[pick % len(DIGITS)])
    return {"title": title, "preset": preset, "source": source, **parts, "nodes": named, "out": list(out),
            "picks": "".join(map(digit, picks))}


def by_program(presets, source, command, asked, more=(), **options):
    """The cases of `presets`, asked of a program; `more` has (title, preset, nodes, out)."""
    cases = [(title, preset, nodes, ()) for preset, weighs in presets.items() for title, nodes in clusters(weighs)]
    cases += more
    picks = answers(command, asked, [(preset, nodes, out) for _, preset, nodes, out in cases], **options)
    return [case(title, preset, nodes, found, source, out) for (title, preset, nodes, out), found in zip(cases, picks)]


def outages(preset, weighs):
    """Cases in which nodes are out."""
    nodes = [node(host(i), weight=i % 3 + 1 if weighs else 1) for i in range(9)]
    yield "one of nine out", preset, nodes, (4,)
    yield "six of nine out", preset, nodes, (0, 1, 3, 4, 6, 8)


def ties(preset, values):
    """Two nodes with one point, in both orders; `values` gives a node's points."""
    taken = {}
    for i in range(3000):
        n = node(host(i))
        for value in values(n):
            other = taken.setdefault(value, n)
            if other is not n:
                yield "a tie", preset, [other, n], ()
                yield "the same tie turned round", preset, [n, other], ()
                return


def python(asked):
    """pymemcache and python-memcached."""
    more = [*outages("pymemcache", False), *outages("python-memcached", True)]
    presets = {"pymemcache": False, "python-memcached": True}
    return by_program(presets, "pymemcache 4.0.0, python-memcached 1.62", [sys.executable, ASK / "python.py"], asked, more)


def dalli(asked):
    """dalli's ring."""
    values = lambda n: [int(hashlib.sha1(f"{rules.address(n)}:{k}".encode()).hexdigest()[:8], 16) for k in range(160)]
    more = [*outages("dalli", True), *ties("dalli", values)]
    return by_program({"dalli": True}, "dalli 3.0.6", ["ruby", ASK / "dalli.rb"], asked, more)


def gomemcache(asked, folder):
    """gomemcache's selector."""
    go = dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off", GOCACHE=folder, HOME=folder)
    program = f"{folder}/gomemcache"
    subprocess.run(["go", "build", "-o", program, ASK / "gomemcache.go"], env=go, check=True)
    return by_program({"gomemcache": False}, "gomemcache 0.0~git20141109", [program], asked)


def spymemcached(asked, folder):
    """spymemcached's locators."""
    jar = "/usr/share/java/spymemcached.jar"
    subprocess.run(["javac", "-cp", jar, "-d", folder, ASK / "Spymemcached.java"], check=True)
    command = ["java", "-cp", f"{folder}:{jar}", "Spymemcached"]
    names = [dict(node(host(i), 11211 + i % 2), hostname=f"cache-{i}.example.net") for i in range(9)]
    more = [("host names", "spymemcached", names, ())]
    more += ties("spymemcached", lambda n: [v for k in range(40) for v in rules.words(f"{rules.address(n)}-{k}")])
    presets = {"spymemcached": True, "spymemcached-modula": False}
    yield from by_program(presets, "spymemcached 2.12.3", command, asked, more)
    hashes = {"java": "NATIVE_HASH", "crc32": "CRC_HASH", "fnv1_64": "FNV1_64_HASH", "fnv1a_64": "FNV1A_64_HASH",
              "fnv1_32": "FNV1_32_HASH", "fnv1a_32": "FNV1A_32_HASH"}
    nodes = [node(host(i)) for i in range(17)]
    picks = answers(command, asked, [(f"spymemcached {name}", nodes, ()) for name in hashes.values()])
    for name, found in zip(hashes, picks):
        yield case(f"hash {name}", "spymemcached", nodes, found, "spymemcached 2.12.3", hash=name)


def php(asked):
    """php-memcached."""
    cases = [(title, preset, nodes, ()) for preset in ["ketama", "libmemcached-consistent", "libmemcached-modula"]
             for title, nodes in clusters(preset == "ketama", (3, 25))]
    picks = answers(["php", ASK / "libmemcached.php"], asked, [c[1:] for c in cases])
    return [case(f"{c[0]} by PHP", c[1], c[2], p, "php-memcached 3.2.0") for c, p in zip(cases, picks)]


# libmemcached's numbers of its distributions.
CONSISTENT, SPY = 1, 4


def libmemcached(asked):
    """libmemcached's other distributions."""
    library = make.libmemcached()
    library.memcached_behavior_set_distribution.argtypes = [ctypes.c_void_p, ctypes.c_int]

    def picks(preset, nodes, hash_name=None):
        client = library.memcached_create(None)
        if hash_name:
            assert library.memcached_behavior_set(client, make.HASH, make.LIBMEMCACHED_HASHES[hash_name]) == 0
        if preset == "libmemcached-spy":
            assert library.memcached_behavior_set(client, make.KETAMA_WEIGHTED, 1) == 0
        number = {"libmemcached-modula": 0, "libmemcached-consistent": CONSISTENT, "libmemcached-spy": SPY}[preset]
        assert library.memcached_behavior_set_distribution(client, number) == 0
        for n in nodes:
            add = library.memcached_server_add_with_weight
            assert add(client, n["host"].encode(), n["port"], n["weight"]) == 0
        found = [library.memcached_generate_hash(client, key, len(key)) for key in asked]
        library.memcached_free(client)
        return found

    for preset, weighs in {"libmemcached-modula": False, "libmemcached-consistent": True, "libmemcached-spy": True}.items():
        spy = lambda n: [v for k in range(40) for v in rules.words(f"/{rules.address(n)}-{k}")]
        tied = [c[0::2][:2] for c in ties(preset, spy)] if preset == "libmemcached-spy" else []
        for title, nodes in [*clusters(weighs), *tied]:
            if len(nodes) <= 100:
                yield case(title, preset, nodes, picks(preset, nodes), "libmemcached 1.1.4")
            else:
                pick = rules.libmemcached(preset, nodes)
                yield case(title, preset, nodes, map(pick, asked), "rules.py")
        if preset == "libmemcached-spy":
            continue
        for name in make.LIBMEMCACHED_HASHES:
            nodes = [node(host(i)) for i in range(17)]
            yield case(f"hash {name}", preset, nodes, picks(preset, nodes, name), "libmemcached 1.1.4", hash=name)


def twemproxy(asked):
    """nutcracker's modula."""
    far = lambda i: f"127.77.{i // 200}.{i % 200 + 1}"
    cases = []
    for title, nodes in clusters(True):
        cases.append((title, "modula", None, "", [dict(n, host=n["host"].replace("10.0.", "127.77.")) for n in nodes]))
    named = [node(far(i), 12700, i % 4 + 1, f"{'n' * (i % 3 + 1)}{20 - i}") for i in range(11)]
    cases.append(("names of many lengths", "modula", None, "", named))
    picks = make.ask_nutcracker(cases, asked)
    return [case(c[0], "twemproxy-modula", c[4], p, "nutcracker 0.5.0") for c, p in zip(cases, picks)]


def by_rules(asked):
    """mcrouter."""
    for weighs, presets in [
        (False, ["mcrouter", "mcrouter-crc32", "mcrouter-rendezvous"]),
        (True, ["mcrouter-weighted", "mcrouter-rendezvous-weighted"]),
    ]:
        for preset in presets:
            for title, nodes in clusters(weighs):
                yield case(title, preset, nodes, map(rules.mcrouter(preset, nodes), asked), "rules.py")
            nodes = [node(host(i)) for i in range(6)]
            salted = rules.mcrouter(preset, nodes, "pepper")
            if weighs:
                light = [node(host(i), weight=[33, 50, 1, 100, 25][i % 5]) for i in range(11)]
                pick = rules.mcrouter(preset, light, full=100)
                yield case("weights of a hundred", preset, light, map(pick, asked), "rules.py", full_weight=100)
            yield case("salt", preset, nodes, map(salted, asked), "rules.py", salt="pepper")
    names = [node(host(i), name=f"tag-{i}") for i in range(8)]
    yield case("names", "mcrouter-rendezvous", names, map(rules.mcrouter("mcrouter-rendezvous", names), asked), "rules.py")


# --- memcached's proxy

PROXY_SOURCE = "memcached 1.6.45"
# What its configuration says for each preset.
PROXY_DISTRIBUTIONS = {"": "dist = mcp.dist_jump_hash", "-ring": "dist = mcp.dist_ring_hash",
                       **{f"-{mode}": f'dist = mcp.dist_ring_hash, omode = "{mode}"'
                          for mode in ["ketama", "twemproxy", "evcache"]}}
PROXY_CONFIGURATION = """
function mcp_config_pools()
    return mcp.pool({%s}, {%s})
end
function mcp_config_routes(pool)
    local route = mcp.funcgen_new()
    local handle = route:new_handle(pool)
    route:ready({n = "all", f = function(context)
        return function(request) return context:enqueue_and_wait(request, handle) end
    end})
    mcp.attach(mcp.CMD_ANY_STORAGE, route)
end
"""


def memcached_proxy(asked):
    """memcached's own proxy, one process for each case, in front of listeners that answer with their address."""
    listeners = make.Listeners()
    cases = []
    for form, distribution in PROXY_DISTRIBUTIONS.items():
        for title, nodes in clusters(False):
            cases.append((title, form, distribution, nodes, {}))
        six = [node(host(i)) for i in range(6)]
        cases.append(("seed", form, f'{distribution}, seed = "salty"', six, {"seed": "salty"}))
        if form:
            cases.append(("hash md5", form, f"{distribution}, hash = mcp.dist_ring_hash.hash", six, {"hash": "md5"}))
    cases = [(title, form, options, [dict(n, host=n["host"].replace("10.0.", "127.77.")) for n in nodes], parts)
             for title, form, options, nodes, parts in cases]
    for *_, nodes, _ in cases:
        for n in nodes:
            listeners.add(n)
    threading.Thread(target=listeners.serve, daemon=True).start()
    for title, form, options, nodes, parts in cases:
        picks = memcached_proxy_picks(nodes, options, asked)
        yield case(title, f"memcached-proxy{form}", nodes, picks, PROXY_SOURCE, **parts)


def memcached_proxy_picks(nodes, options, asked):
    """The index among `nodes` where one running proxy takes each of the `asked` keys."""
    backends = ", ".join(f'mcp.backend("b{i}", "{n["host"]}", {n["port"]})' for i, n in enumerate(nodes))
    with tempfile.TemporaryDirectory() as folder:
        configuration = pathlib.Path(folder, "proxy.lua")
        configuration.write_text(PROXY_CONFIGURATION % (backends, options))
        path = f"{folder}/proxy.sock"
        command = [os.environ["MEMCACHED_PROXY"], "-u", "nobody", "-t", "1", "-s", path, "-a", "0777",
                   "-o", f"proxy_config={configuration}"]
        os.chmod(folder, 0o777)
        process = subprocess.Popen(command)
        try:
            while not os.path.exists(path):
                assert process.poll() is None, "the proxy does not start"
                time.sleep(0.05)
            return make.nutcracker_picks(path, nodes, asked)
        finally:
            process.terminate()
            process.wait()


def main():
    """Writes the file, or the part of it that was asked for."""
    asked = [key.encode("latin-1") for key in json.loads((HERE / "keys.json").read_text())]
    if sys.argv[1:] == ["--memcached-proxy"]:
        lines = [json.loads(line) for line in (HERE / "peers.jsonl").read_text().splitlines()]
        others = [line for line in lines if not line["preset"].startswith("memcached-proxy")]
        make.write("peers.jsonl", others + list(memcached_proxy(asked)))
        return
    with tempfile.TemporaryDirectory() as folder:
        asks = [python, dalli, functools.partial(gomemcache, folder=folder), functools.partial(spymemcached, folder=folder),
                php, libmemcached, twemproxy, by_rules, memcached_proxy]
        make.write("peers.jsonl", [made for ask in asks for made in ask(asked)])


if __name__ == "__main__":
    main()
