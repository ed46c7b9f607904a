"""The placement rules of mcrouter, and of libmemcached on 512 nodes, written a second time, for want of programs to ask.

An oracle for vectors: each function takes nodes and a key, and gives the node's index. They were written from the
sources that their docs name, and agree with the values in mcrouter's own tests.
"""
import bisect
import hashlib
import math
import struct
import zlib

MASK = (1 << 64) - 1
SEED = 4193360111


def address(node):
    """host:port"""
    return node["name"] or f"{node['host']}:{node['port']}"


# --- mcrouter

def murmur64a(key, seed):
    """MurmurHash64A."""
    m, length = 0xc6a4a7935bd1e995, len(key)
    h, i = (seed ^ (length * m)) & MASK, 0
    while length - i >= 8:
        w = struct.unpack_from("<Q", key, i)[0] * m & MASK
        h = (h ^ ((w ^ w >> 47) * m & MASK)) * m & MASK
        i += 8
    if length - i:
        h = (h ^ int.from_bytes(key[i:], "little")) * m & MASK
    h = (h ^ h >> 47) * m & MASK
    return h ^ h >> 47


def furc(key, count):
    """Ch3: furc_hash in mcrouter's lib/fbi/hash.c."""
    if count <= 1:
        return 0
    words = [murmur64a(key, SEED)]

    def bit(i):
        while len(words) <= i >> 6:
            words.append(murmur64a(struct.pack("<Q", words[-1]), SEED))
        return words[i >> 6] >> (i & 63) & 1

    depth = (count - 1).bit_length()
    at = depth
    for _ in range(32):
        while bit(at) == 0:
            depth -= 1
            if depth == 0:
                return 0
            at = depth
        at, number = at + 23, 1
        for _ in range(depth - 1):
            number, at = number << 1 | bit(at), at + 23
        if number < count:
            return number
    return 0


def spooky32(key, seed):
    """SpookyHash V2 of less than 192 bytes."""
    rot = lambda x, k: (x << k | x >> 64 - k) & MASK
    length, filler = len(key), 0xdeadbeefdeadbeef
    a, b, c, d, i = seed, seed, filler, filler, 0
    quad = lambda at: struct.unpack_from("<Q", key, at)[0]

    def mix(a, b, c, d):
        for p, q, r, s in [(50, 52, 30, 41), (54, 48, 38, 37), (62, 34, 5, 36)]:
            c = (rot(c, p) + d) & MASK
            a ^= c
            d = (rot(d, q) + a) & MASK
            b ^= d
            a = (rot(a, r) + b) & MASK
            c ^= a
            b = (rot(b, s) + c) & MASK
            d ^= b
        return a, b, c, d

    while length - i >= 32:
        c, d = (c + quad(i)) & MASK, (d + quad(i + 8)) & MASK
        a, b, c, d = mix(a, b, c, d)
        a, b, i = (a + quad(i + 16)) & MASK, (b + quad(i + 24)) & MASK, i + 32
    if length - i >= 16:
        c, d = (c + quad(i)) & MASK, (d + quad(i + 8)) & MASK
        a, b, c, d = mix(a, b, c, d)
        i += 16
    d = (d + (length << 56)) & MASK
    if i == length:
        c, d = (c + filler) & MASK, (d + filler) & MASK
    else:
        low, high = struct.unpack("<QQ", key[i:].ljust(16, b"\0"))
        c, d = (c + low) & MASK, (d + high) & MASK
    state = [a, b, c, d]
    for step, turns in enumerate([15, 52, 26, 51, 28, 9, 47, 54, 32, 25, 63]):
        p, q = (step + 3) % 4, (step + 2) % 4
        state[p] ^= state[q]
        state[q] = rot(state[q], turns)
        state[p] = (state[p] + state[q]) & MASK
    return state[0] & 0xffffffff


def weighted_furc(weights, key):
    """WeightedCh3: lib/WeightedCh3HashFunc.cpp."""
    salted = key
    for salt in range(32):
        index = furc(salted, len(weights))
        if spooky32(salted, 0xface2014) < int(weights[index] * 0xffffffff):
            break
        salted = key + str(salt)[::-1].encode()
    return index


def hash128(upper, lower):
    """CityHash's Hash128to64."""
    k = 0x9ddfea08eb382d69
    a = (lower ^ upper) * k & MASK
    b = (upper ^ a ^ a >> 47) * k & MASK
    return (b ^ b >> 47) * k & MASK


def rendezvous(nodes, key):
    """RendezvousHashFunc."""
    hashed, best, winner = murmur64a(key, 2718281828), -1.0, 0
    for index, node in enumerate(nodes):
        score = float(hash128(node, hashed))
        if score >= best:
            best, winner = score, index
    return winner


def weighted_rendezvous(nodes, weights, key):
    """WeightedRendezvousHashFunc."""
    hashed, best, winner = murmur64a(key, 2718281828), 0.0, 0
    for index, node in enumerate(nodes):
        even = (hash128(node, hashed) & (1 << 53) - 1) / float(1 << 53)
        score = weights[index] / -math.log(even)
        if score > best:
            best, winner = score, index
    return winner


def routing_key(key):
    """What counts of a key."""
    if key.startswith(b"/") and key.count(b"/") >= 3:
        key = key.split(b"/", 3)[3]
    return key.split(b"|#|")[0]


def mcrouter(preset, nodes, salt="", full=None):
    """The picker of one of mcrouter's presets; `full` is the weight that stands for 1.0."""
    full = full or max(n["weight"] for n in nodes)
    weights = [n["weight"] / full for n in nodes]
    tags = [murmur64a(address(n).encode(), SEED) for n in nodes]
    place = {
        "mcrouter": lambda key: furc(key, len(nodes)),
        "mcrouter-weighted": lambda key: weighted_furc(weights, key) if len(key) < 190 else -1,
        "mcrouter-crc32": lambda key: (zlib.crc32(key) & 0x7fffffff) % len(nodes),
        "mcrouter-rendezvous": lambda key: rendezvous(tags, key),
        "mcrouter-rendezvous-weighted": lambda key: weighted_rendezvous(tags, weights, key),
    }[preset]
    return lambda key: place(routing_key(key) + salt.encode()) if len(nodes) > 1 else 0


def words(text):
    """The four numbers of an MD5."""
    return struct.unpack("<IIII", hashlib.md5(text.encode()).digest())


def circle(named):
    """(value, index) of all points, in order; `named` gives each node's values."""
    return sorted((value, index) for index, values in enumerate(named) for value in values)


# --- libmemcached past the hundred nodes that Debian's build takes

def one_at_a_time(key):
    """Jenkins's, with a signed char."""
    h = 0
    for byte in key:
        h = (h + (byte if byte < 128 else byte - 256)) & 0xffffffff
        h = h + (h << 10) & 0xffffffff
        h ^= h >> 6
    h = h + (h << 3) & 0xffffffff
    h ^= h >> 11
    return h + (h << 15) & 0xffffffff


def libmemcached(preset, nodes):
    """The picker of one of libmemcached's presets, without weights."""
    if preset == "libmemcached-modula":
        return lambda key: one_at_a_time(key) % len(nodes)
    if preset == "libmemcached-spy":
        assert len(nodes) == 512, "at other sizes the rounding gives 156 points"
        points = circle([v for k in range(40) for v in words(f"/{address(n)}-{k}")] for n in nodes)
        hashed = lambda key: struct.unpack_from("<I", hashlib.md5(key).digest())[0]
    else:
        short = lambda n: n["host"] if n["port"] == 11211 else address(n)
        points = circle([one_at_a_time(f"{short(n)}-{k}".encode()) for k in range(100)] for n in nodes)
        hashed = one_at_a_time
    return lambda key: points[bisect.bisect_left(points, (hashed(key), -1)) % len(points)][1]
