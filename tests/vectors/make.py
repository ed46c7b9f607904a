#!/usr/bin/env python3
"""Asks libmemcached and nutcracker (twemproxy) where keys go, and writes down their answers.

Nothing here computes a placement: libmemcached is called through its C interface, nutcracker runs between
this script and one small listener for each node. Needs Linux, libmemcached.so.11 and nutcracker 0.5.

    python3 make.py            writes keys.json, ketama.jsonl and twemproxy.jsonl beside itself
"""
import ctypes
import json
import os
import pathlib
import random
import selectors
import socket
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SOCKETS = "/tmp/ringway-vectors"

HASHES = ["one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32",
          "hsieh", "murmur", "jenkins"]


def node(host, port=11211, weight=1, name=None):
    """A node; `port` None: `host` is the path of a unix socket."""
    return {"host": host, "port": port, "weight": weight, "name": name}


def keys():
    """Byte strings that a memcached key may be, each as text whose characters stand for one byte each."""
    dice = random.Random(20)
    made = [f"user:{i}" for i in range(400)] + [f"session:{dice.getrandbits(64):016x}" for _ in range(400)]
    made += ["a", "apple", "foo", "x" * 250, "{}", "{}a", "a{}b{c}", "a}b{c}", "{a", "a}", "}{", "a{b}c{d}",
             "x{{y}}z", "{}{b}", "$a$b$", "$$a", "$", "a$b", "\x7f\xff"[1:], "\x80", "\xff\xff\xff\xff"]
    made += [f"{dice.choice(['', 'p:', 'cart-'])}{{u{i % 90}}}:{dice.randrange(10**6)}" for i in range(300)]
    made += [f"${i % 50}$tail{dice.randrange(10**6)}" for i in range(80)]
    printable = [chr(c) for c in range(0x21, 0x7f)]
    for length in range(1, 61):
        made += ["".join(dice.choices(printable, k=length)) for _ in range(8)]
    words = ["ключ", "schlüssel", "clé", "鍵", "キー", "🔑", "naïve", "ñandú"]
    made += [f"{dice.choice(words)}:{i}:{dice.choice(words)}".encode().decode("latin-1") for i in range(250)]
    anything = [chr(c) for c in range(0x21, 0x100) if c not in (0x7f,)]
    made += ["".join(dice.choices(anything, k=dice.randrange(1, 40))) for _ in range(470)]
    made += [f"{dice.choice(words)}{dice.randrange(10**9)}".encode().decode("latin-1") for _ in range(120)]
    return list(dict.fromkeys(made))


def clusters(host):
    """Nodes on which both programs are asked; `host(i)` is a distinct IPv4 address for each i."""
    for count in [1, 2, 3, 4, 5, 8, 10, 25, 47, 50, 100, 512]:
        yield f"{count} equal nodes", [node(host(i)) for i in range(count)]
    yield "port beside the address", [node(host(i), 12000 + i) for i in range(6)]
    yield "some ports 11211", [node(host(i), [11211, 12100][i % 2]) for i in range(5)]
    yield "one address, many ports", [node(host(0), 12200 + i) for i in range(7)]
    yield "weights 1 2 3", [node(host(i), weight=i + 1) for i in range(3)]
    yield "weights far apart", [node(host(i), weight=w) for i, w in enumerate([1, 1_000_000, 3, 500_000, 77])]
    yield "a node too light for a point", [node(host(i), weight=w) for i, w in enumerate([1000, 1, 900])]
    yield "50 nodes of weight 7", [node(host(i), weight=7) for i in range(50)]
    dice = random.Random(4)
    for turn in range(8):
        count = dice.randrange(2, 13)
        nodes = [node(host(i), dice.choice([11211, 12300 + i]), dice.randrange(1, 21)) for i in range(count)]
        yield f"random weights {turn}", nodes
    yield "unix sockets", [node(f"{SOCKETS}/{n}.sock", None, w) for n, w in [("a", 1), ("b", 1), ("long-one", 2)]]


# Names whose rings share a point (found by trying): who owns it depends on the order of the nodes alone.
TIES = [("node-414", "node-1761"), ("node-1761", "node-414"), ("node-546", "node-699"), ("node-699", "node-546")]


# --- libmemcached

KETAMA_WEIGHTED, HASH = 16, 2
# Those that both libraries have, by libmemcached's numbers. Debian builds it without hsieh.
LIBMEMCACHED_HASHES = {"one_at_a_time": 0, "md5": 1, "crc32": 2, "fnv1_64": 3, "fnv1a_64": 4, "fnv1_32": 5,
                       "fnv1a_32": 6, "murmur": 8, "jenkins": 9}


def libmemcached():
    """The library, with the types of what is called here."""
    library = ctypes.CDLL("libmemcached.so.11")
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32
    library.memcached_create.restype, library.memcached_create.argtypes = pointer, [pointer]
    library.memcached_free.restype, library.memcached_free.argtypes = None, [pointer]
    library.memcached_behavior_set.argtypes = [pointer, ctypes.c_int, ctypes.c_uint64]
    library.memcached_server_add_with_weight.argtypes = [pointer, text, ctypes.c_uint16, integer]
    library.memcached_server_add_unix_socket_with_weight.argtypes = [pointer, text, integer]
    library.memcached_generate_hash.restype = integer
    library.memcached_generate_hash.argtypes = [pointer, text, ctypes.c_size_t]
    return library


def libmemcached_picks(library, nodes, hash_name, asked):
    """The index among `nodes` that libmemcached takes each of the `asked` keys to."""
    client = library.memcached_create(None)
    assert library.memcached_behavior_set(client, KETAMA_WEIGHTED, 1) == 0
    if hash_name:
        assert library.memcached_behavior_set(client, HASH, LIBMEMCACHED_HASHES[hash_name]) == 0
    for n in nodes:
        host = n["host"].encode()
        if n["port"] is None:
            result = library.memcached_server_add_unix_socket_with_weight(client, host, n["weight"])
        else:
            result = library.memcached_server_add_with_weight(client, host, n["port"], n["weight"])
        assert result == 0, (n, result)
    picks = [library.memcached_generate_hash(client, key, len(key)) for key in asked]
    library.memcached_free(client)
    return picks


def ketama_cases():
    """(title, hash, nodes) for libmemcached's weighted ketama."""
    for title, nodes in clusters(lambda i: f"10.0.{i // 200}.{i % 200 + 1}"):
        if len(nodes) <= 100:  # Debian's build ends in an assertion past that
            yield title, None, nodes
    yield "host names", None, [node(f"cache-{i}.example.net", 11211 + i % 2) for i in range(9)]
    yield "IPv6", None, [node(f"fe80::{i:x}", 11211 + i % 2, i + 1) for i in range(4)]
    for pair in TIES:
        yield f"tie of {pair[0]} and {pair[1]}", None, [node(name) for name in pair]
    for name in LIBMEMCACHED_HASHES:
        yield f"hash {name}", name, [node(f"10.1.0.{i + 1}", weight=i % 3 + 1) for i in range(17)]


# --- nutcracker

class Listeners:
    """One listener for each address; it answers every `get` with its own address as the value."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.open = set()

    def add(self, n):
        """Opens the address of `n`, where it is not open yet."""
        address = (n["host"], n["port"])
        if address in self.open:
            return
        self.open.add(address)
        family = socket.AF_UNIX if n["port"] is None else socket.AF_INET6 if ":" in n["host"] else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_UNIX:
            pathlib.Path(n["host"]).unlink(missing_ok=True)
            listener.bind(n["host"])
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        listener.listen(64)
        self.selector.register(listener, selectors.EVENT_READ, (f"{n['host']} {n['port']}".encode(), None))

    def serve(self):
        """Answers for ever."""
        while True:
            for ready, _ in self.selector.select():
                address, waiting = ready.data
                if waiting is None:
                    session, _ = ready.fileobj.accept()
                    self.selector.register(session, selectors.EVENT_READ, (address, bytearray()))
                    continue
                got = ready.fileobj.recv(65536)
                if not got:
                    self.selector.unregister(ready.fileobj)
                    ready.fileobj.close()
                    continue
                waiting += got
                *lines, rest = waiting.split(b"\r\n")
                waiting[:] = rest
                ready.fileobj.sendall(b"".join(self.answer(line, address) for line in lines))

    @staticmethod
    def answer(line, address):
        """The reply to one line: memcached's proxy asks for the version first."""
        if line == b"version":
            return b"VERSION 1.6.45\r\n"
        return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (line.split()[1], len(address), address)


def twemproxy_cases():
    """(title, distribution, hash, hash tag, nodes) for nutcracker."""
    host = lambda i: f"127.77.{i // 200}.{i % 200 + 1}"
    for title, nodes in clusters(host):
        yield title, "ketama", None, "", nodes
    yield "512 nodes by MD5", "ketama", "md5", "", [node(host(i)) for i in range(512)]
    yield "names", "ketama", None, "", [node(host(i), 12400, 1, f"cache-{i}") for i in range(6)]
    yield "names and weights", "ketama", None, "", [node(host(i), 11211, 3 * i + 1, f"c{i:x}") for i in range(11)]
    yield "some with names", "ketama", None, "", [node(host(i), name=[None, f"n{i}"][i % 2]) for i in range(7)]
    yield "named unix sockets", "ketama", None, "", [node(f"{SOCKETS}/{n}.sock", None, 1, n) for n in "abc"]
    if socket.has_ipv6:
        yield "IPv6", "ketama", None, "", [node("::1", 12500 + i) for i in range(3)]
    for pair in TIES:
        names = [node(host(i), 12600, 1, name) for i, name in enumerate(pair)]
        yield f"tie of {pair[0]} and {pair[1]}", "ketama", None, "", names
    for tag in ["{}", "$$", "}{"]:
        yield f"hash tag {tag}", "ketama", None, tag, [node(host(i)) for i in range(50)]
    for name in HASHES:
        yield f"hash {name}", "ketama", name, "", [node(host(i), weight=i % 3 + 1) for i in range(17)]
    # A ring hides the low bits of a hash, modula shows them: 127 equal nodes give the hash modulo 127.
    for name in HASHES:
        yield f"modula {name}", "modula", name, "", [node(host(i), 11211, 1, f"{i:03}") for i in range(127)]


def pool(number, case, folder):
    """One pool of nutcracker's configuration."""
    _, distribution, hash_name, tag, nodes = case
    lines = [f"p{number}:", f"  listen: {folder}/{number}.sock", f"  distribution: {distribution}", "  timeout: 20000"]
    if hash_name:
        lines.append(f"  hash: {hash_name}")
    if tag:
        lines.append(f'  hash_tag: "{tag}"')
    lines.append("  servers:")
    for n in nodes:
        port = "" if n["port"] is None else f":{n['port']}"
        lines.append(f"   - {n['host']}{port}:{n['weight']}" + (f" {n['name']}" if n["name"] else ""))
    return "\n".join(lines) + "\n"


def nutcracker_picks(path, nodes, asked):
    """The index among `nodes` where nutcracker, listening at `path`, takes each of the `asked` keys."""
    index = {f"{n['host']} {n['port']}".encode(): i for i, n in enumerate(nodes)}
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    replies, picks = client.makefile("rb"), []
    for start in range(0, len(asked), 100):
        some = asked[start:start + 100]
        client.sendall(b"".join(b"get %s\r\n" % key for key in some))
        for key in some:
            value, address, end = replies.readline(), replies.readline(), replies.readline()
            assert value.split()[1] == key and end == b"END\r\n", (key, value, address, end)
            picks.append(index[address.rstrip()])
    client.close()
    return picks


def ask_nutcracker(cases, asked):
    """The picks of every case, in order, from one nutcracker with a pool for each."""
    listeners = Listeners()
    for case in cases:
        for n in case[4]:
            listeners.add(n)
    threading.Thread(target=listeners.serve, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "nutcracker.yml")
        path.write_text("".join(pool(i, case, folder) for i, case in enumerate(cases)))
        command = ["nutcracker", "-c", path, "-s", "22229", "-a", "127.0.0.1"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            last = f"{folder}/{len(cases) - 1}.sock"
            while not os.path.exists(last):
                assert process.poll() is None, "nutcracker does not start"
                time.sleep(0.05)
            time.sleep(0.5)
            return [nutcracker_picks(f"{folder}/{i}.sock", case[4], asked) for i, case in enumerate(cases)]
        finally:
            process.terminate()
            process.wait()


def write(name, cases):
    """One case a line."""
    lines = (json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases)
    (HERE / name).write_text("\n".join(lines) + "\n")


def compact(nodes):
    """[host, port or null, weight, name or null] for each."""
    return [[n["host"], n["port"], n["weight"], n["name"]] for n in nodes]


def main():
    """Writes all three files."""
    os.makedirs(SOCKETS, exist_ok=True)
    text = keys()
    asked = [key.encode("latin-1") for key in text]
    (HERE / "keys.json").write_text(json.dumps(text, ensure_ascii=True, separators=(",", ":")) + "\n")

    library = libmemcached()
    write("ketama.jsonl", [
        {"title": title, "kind": "ketama", "hash": hash_name, "tag": "", "nodes": compact(nodes),
         "picks": libmemcached_picks(library, nodes, hash_name, asked)}
        for title, hash_name, nodes in ketama_cases()])

    cases = list(twemproxy_cases())
    write("twemproxy.jsonl", [
        {"title": title, "kind": kind, "hash": hash_name, "tag": tag, "nodes": compact(nodes), "picks": picks}
        for (title, kind, hash_name, tag, nodes), picks in zip(cases, ask_nutcracker(cases, asked))])


if __name__ == "__main__":
    main()
