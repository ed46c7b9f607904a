"""python-memcached (`import memcache`), as its tutorial has it."""

import memcache

from checks import BINARY, LARGE, NAMESPACE, address, becomes, equal, holds, key, tried, version


def connect():
    host, port = address()
    return memcache.Client([f"{host}:{port}"], cache_cas=True, socket_timeout=10)


def values(client):
    cases = {
        "text": "some text",
        "unicode": "Grüße, 世界",
        "bytes": BINARY,
        "empty": b"",
        "int": 42,
        "pickled": {"a": [1, 2, 3], "b": None},
        "large": LARGE,
    }
    for name, value in cases.items():
        equal(f"set {name}", client.set(key(name), value), True)
        equal(f"get {name}", client.get(key(name)), value)
    equal("get of nothing", client.get(key("nothing")), None)
    equal("get with a default", client.get(key("nothing"), "else"), "else")
    names = [key(name) for name in cases] + [key("nothing")]
    wanted = {key(name): value for name, value in cases.items()}
    equal("get_multi", client.get_multi(names), wanted)
    equal("set with compression", client.set(key("zipped"), LARGE, min_compress_len=100), True)
    equal("get of what was compressed", client.get(key("zipped")), LARGE)
    equal("longest key", client.set("k" * 250, "v"), True)
    equal("get of the longest key", client.get("k" * 250), "v")
    tried("set", "get", "multi-get", "binary-safe", "900 KB")


def many(client):
    wanted = {f"many:{i}": f"value {i}" for i in range(300)}
    prefix = NAMESPACE + ":"
    equal("set_multi", client.set_multi(wanted, key_prefix=prefix), [])
    equal("get_multi of 300", client.get_multi(list(wanted), key_prefix=prefix), wanted)
    holds("delete_multi", client.delete_multi(list(wanted), key_prefix=prefix))
    equal("get_multi of the deleted", client.get_multi(list(wanted), key_prefix=prefix), {})


def conditions(client):
    name = key("condition")
    equal("replace of nothing", client.replace(name, "a"), 0)
    equal("append to nothing", client.append(name, "a"), 0)
    equal("prepend to nothing", client.prepend(name, "a"), 0)
    equal("add", client.add(name, "b"), True)
    equal("add again", client.add(name, "c"), 0)
    equal("replace", client.replace(name, "d"), True)
    equal("append", client.append(name, "e"), True)
    equal("prepend", client.prepend(name, "c"), True)
    equal("after all", client.get(name), "cde")
    tried("add", "replace", "append")


def compare_and_set(client):
    other = connect()
    name = key("cas")
    client.set(name, "first")
    equal("gets", client.gets(name), "first")
    equal("cas", client.cas(name, "second"), True)
    equal("get after cas", client.get(name), "second")
    client.gets(name)
    other.set(name, "third")
    equal("cas of a changed value", client.cas(name, "fourth"), 0)
    equal("get after a lost cas", client.get(name), "third")
    other.disconnect_all()
    tried("cas")


def numbers(client):
    name = key("number")
    equal("incr of nothing", client.incr(name), None)
    client.set(name, "10")
    equal("incr", client.incr(name), 11)
    equal("incr by 31", client.incr(name, 31), 42)
    equal("decr", client.decr(name, 2), 40)
    equal("decr stops at 0", client.decr(name, 100), 0)
    client.set(name, "18446744073709551615")
    equal("incr wraps at 64 bits", client.incr(name), 0)
    tried("incr", "decr")


def endings(client):
    name = key("ending")
    client.set(name, "v")
    equal("delete", client.delete(name), 1)
    equal("get of the deleted", client.get(name), None)
    equal("delete of nothing", client.delete(name), 0)
    client.set(name, "v", time=-1)
    equal("set expired at once", client.get(name), None)
    client.set(name, "v", time=1)
    becomes("expiry after a second", lambda: client.get(name), None)
    client.set(name, "v", time=1)
    equal("touch", client.touch(name, 100), 1)
    client.touch(name, -1)
    equal("get after touch into the past", client.get(name), None)
    tried("delete", "expire", "touch")


def without_reply(client):
    names = [key(f"quiet:{i}") for i in range(50)]
    for name in names:
        client.set(name, "v", noreply=True)
    equal("get after noreply sets", client.get_multi(names), {name: "v" for name in names})
    for name in names:
        client.delete(name, noreply=True)
    equal("get after noreply deletes", client.get_multi(names), {})
    tried("noreply")


def server(client):
    statistics = client.get_stats()
    equal("stats of one server", len(statistics), 1)
    holds("stats have pid and version", {"pid", "version"} <= set(statistics[0][1]), statistics)
    client.set(key("flushed"), "v")
    client.flush_all()
    equal("get after flush_all", client.get(key("flushed")), None)
    tried("stats", "flush")


def main():
    version("python-memcached")
    client = connect()
    for check in (values, many, conditions, compare_and_set, numbers, endings, without_reply, server):
        check(client)
    client.disconnect_all()


main()
