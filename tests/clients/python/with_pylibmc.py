"""pylibmc (libmemcached) over its text or its binary protocol, as its tutorial has it."""

import pylibmc

from checks import BINARY, LARGE, NAMESPACE, address, becomes, equal, holds, key, protocol, tried, version

# What the tutorial turns on; ketama among one server leads to that server.
BEHAVIORS = {"tcp_nodelay": True, "ketama": True, "cas": True, "receive_timeout": 10_000_000}


def connect(**behaviors):
    host, port = address()
    return pylibmc.Client([f"{host}:{port}"], binary=protocol() == "binary", behaviors={**BEHAVIORS, **behaviors})


def values(client):
    cases = {
        "text": "some text",
        "unicode": "Grüße, 世界",
        "bytes": BINARY,
        "empty": b"",
        "int": 42,
        "bool": True,
        "pickled": {"a": [1, 2, 3], "b": None},
        "large": LARGE,
    }
    for name, value in cases.items():
        equal(f"set {name}", client.set(key(name), value), True)
        equal(f"get {name}", client.get(key(name)), value)
    equal("get of nothing", client.get(key("nothing")), None)
    names = [key(name) for name in cases] + [key("nothing")]
    wanted = {key(name): value for name, value in cases.items()}
    equal("get_multi", client.get_multi(names), wanted)
    equal("set with compression", client.set(key("zipped"), LARGE, min_compress_len=100), True)
    equal("get of what was compressed", client.get(key("zipped")), LARGE)
    equal("longest key", client.set("l" * 250, "v"), True)
    equal("get of the longest key", client.get("l" * 250), "v")
    tried("set", "get", "multi-get", "binary-safe", "900 KB")


def mapping(client):
    client[key("map")] = "v"
    equal("get by index", client[key("map")], "v")
    holds("contains", key("map") in client)
    del client[key("map")]
    holds("does not contain", key("map") not in client)


def many(client):
    wanted = {f"many:{i}": f"value {i}" for i in range(300)}
    prefix = NAMESPACE + ":"
    equal("set_multi", client.set_multi(wanted, key_prefix=prefix), [])
    equal("get_multi of 300", client.get_multi(list(wanted), key_prefix=prefix), wanted)
    holds("delete_multi", client.delete_multi(list(wanted), key_prefix=prefix))
    equal("get_multi of the deleted", client.get_multi(list(wanted), key_prefix=prefix), {})


def conditions(client):
    name = key("condition")
    equal("replace of nothing", replace(client, name, "a"), False)
    equal("append to nothing", client.append(name, "a"), False)
    equal("prepend to nothing", client.prepend(name, "a"), False)
    equal("add", client.add(name, "b"), True)
    equal("add again", client.add(name, "c"), False)
    equal("replace", client.replace(name, "d"), True)
    equal("append", client.append(name, "e"), True)
    equal("prepend", client.prepend(name, "c"), True)
    equal("after all", client.get(name), "cde")
    tried("add", "replace", "append")


def compare_and_set(client):
    name = key("cas")
    equal("gets of nothing", client.gets(name), (None, None))
    client.set(name, "first")
    value, token = client.gets(name)
    equal("gets", value, "first")
    equal("cas", client.cas(name, "second", token), True)
    equal("cas with an old token", client.cas(name, "third", token), False)
    equal("get after cas", client.get(name), "second")
    tried("cas")


def numbers(client):
    name = key("number")
    try:
        client.incr(name)
        holds("incr of nothing raises NotFound", False)
    except pylibmc.NotFound:
        pass
    client.set(name, 10)
    equal("incr", client.incr(name, 32), 42)
    equal("decr", client.decr(name, 2), 40)
    equal("decr stops at 0", client.decr(name, 100), 0)
    tried("incr", "decr")


def endings(client):
    name = key("ending")
    client.set(name, "v")
    equal("delete", client.delete(name), True)
    equal("delete of nothing", client.delete(name), False)
    client.set(name, "v", time=1)
    becomes("expiry after a second", lambda: client.get(name), None)
    equal("touch of nothing", client.touch(name, 100), False)
    client.set(name, "v", time=1)
    equal("touch", client.touch(name, 100), True)
    equal("get after touch", client.get(name), "v")
    tried("delete", "expire", "touch")


def replace(client, name, value):
    """False where nothing is there. Over the binary protocol the library raises it."""
    try:
        return client.replace(name, value)
    except pylibmc.NotFound:
        return False


def without_reply():
    client = connect(_noreply=True)
    names = [key(f"quiet:{i}") for i in range(50)]
    for name in names:
        client.set(name, "v")
    equal("get after noreply sets", client.get_multi(names), {name: "v" for name in names})
    for name in names:
        client.delete(name)
    equal("get after noreply deletes", client.get_multi(names), {})
    client.disconnect_all()
    tried("noreply")


def server(client):
    statistics = client.get_stats()
    equal("stats of one server", len(statistics), 1)
    holds("stats have pid and version", {"pid", "version"} <= set(statistics[0][1]), statistics)
    client.set(key("flushed"), "v")
    equal("flush_all", client.flush_all(), True)
    equal("get after flush_all", client.get(key("flushed")), None)
    tried("stats", "flush")


def main():
    version("pylibmc")
    client = connect()
    for check in (values, mapping, many, conditions, compare_and_set, numbers, endings, server):
        check(client)
    client.disconnect_all()
    without_reply()


main()
