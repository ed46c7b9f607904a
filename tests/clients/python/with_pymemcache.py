"""pymemcache, as its tutorial has it: writes without reply are its default."""

from pymemcache import HashClient, PooledClient, serde
from pymemcache.client.base import Client

from checks import BINARY, LARGE, address, becomes, equal, holds, key, tried, version


def connect(**options):
    return Client(address(), connect_timeout=10, timeout=10, **options)


def values(client):
    cases = {"text": b"some text", "bytes": BINARY, "empty": b"", "large": LARGE}
    for name, value in cases.items():
        equal(f"set {name}", client.set(key(name), value), True)
        equal(f"get {name}", client.get(key(name)), value)
    equal("get of nothing", client.get(key("nothing")), None)
    equal("get with a default", client.get(key("nothing"), b"else"), b"else")
    names = [key(name) for name in cases] + [key("nothing")]
    equal("get_many", client.get_many(names), {key(name): value for name, value in cases.items()})
    equal("longest key", client.set("p" * 250, b"v", noreply=False), True)
    equal("get of the longest key", client.get("p" * 250), b"v")
    tried("set", "get", "multi-get", "binary-safe", "900 KB")


def flags(client):
    for flag in (0, 1, 0xFFFF, 0xFFFFFFFF):
        client.set(key("flags"), b"v", flags=flag)
        equal(f"flags {flag}", client.get(key("flags")), b"v")
    typed = connect(serde=serde.pickle_serde)
    for value in ({"a": [1, 2.5, None]}, "Grüße", 42, b"raw"):
        typed.set(key("typed"), value)
        equal("a value typed by its flags", typed.get(key("typed")), value)
    typed.close()
    tried("flags")


def many(client):
    wanted = {key(f"many:{i}"): b"value %d" % i for i in range(300)}
    equal("set_many", client.set_many(wanted), [])
    equal("set_many with replies", client.set_many(wanted, noreply=False), [])
    equal("get_many of 300", client.get_many(list(wanted)), wanted)
    holds("delete_many", client.delete_many(list(wanted)))
    equal("get_many of the deleted", client.get_many(list(wanted)), {})


def conditions(client):
    name = key("condition")
    equal("replace of nothing", client.replace(name, b"a", noreply=False), False)
    equal("append to nothing", client.append(name, b"a", noreply=False), False)
    equal("prepend to nothing", client.prepend(name, b"a", noreply=False), False)
    equal("add", client.add(name, b"b", noreply=False), True)
    equal("add again", client.add(name, b"c", noreply=False), False)
    equal("replace", client.replace(name, b"d", noreply=False), True)
    equal("append", client.append(name, b"e", noreply=False), True)
    equal("prepend", client.prepend(name, b"c", noreply=False), True)
    equal("after all", client.get(name), b"cde")
    client.add(name, b"x")
    client.replace(name, b"2")
    client.append(name, b"3")
    client.prepend(name, b"1")
    equal("after the same without reply", client.get(name), b"123")
    tried("add", "replace", "append")


def compare_and_set(client):
    name = key("cas")
    equal("gets of nothing", client.gets(name), (None, None))
    equal("cas of nothing", client.cas(name, b"v", b"1", noreply=False), None)
    client.set(name, b"first")
    value, token = client.gets(name)
    equal("gets", value, b"first")
    equal("cas", client.cas(name, b"second", token, noreply=False), True)
    equal("cas with an old token", client.cas(name, b"third", token, noreply=False), False)
    equal("get after cas", client.get(name), b"second")
    found = client.gets_many([name, key("nothing")])
    equal("gets_many", {name: value for name, (value, _) in found.items()}, {name: b"second"})
    tried("cas")


def numbers(client):
    name = key("number")
    equal("incr of nothing", client.incr(name, 1), None)
    client.set(name, b"10")
    equal("incr", client.incr(name, 32), 42)
    equal("decr", client.decr(name, 2), 40)
    equal("decr stops at 0", client.decr(name, 100), 0)
    client.incr(name, 7, noreply=True)
    equal("incr without reply", client.incr(name, 1), 8)
    client.set(name, b"18446744073709551615")
    equal("incr wraps at 64 bits", client.incr(name, 1), 0)
    tried("incr", "decr")


def endings(client):
    name = key("ending")
    client.set(name, b"v")
    equal("delete", client.delete(name, noreply=False), True)
    equal("delete of nothing", client.delete(name, noreply=False), False)
    client.set(name, b"v", expire=-1)
    equal("set expired at once", client.get(name), None)
    client.set(name, b"v", expire=1)
    becomes("expiry after a second", lambda: client.get(name), None)
    equal("touch of nothing", client.touch(name, 100, noreply=False), False)
    client.set(name, b"v")
    equal("touch", client.touch(name, 100, noreply=False), True)
    answer = client.raw_command(f"gat 100 {name}", "END\r\n")
    equal("gat", answer, b"VALUE %s 0 1\r\nv\r\n" % name.encode())
    client.touch(name, -1, noreply=False)
    equal("get after touch into the past", client.get(name), None)
    tried("delete", "expire", "touch")


def server(client):
    version = client.version()
    holds("version is a number", version.split(b".")[0].isdigit(), version)
    statistics = client.stats()
    holds("stats have pid and version", {b"pid", b"version"} <= set(statistics), statistics)
    client.set(key("flushed"), b"v")
    equal("flush_all", client.flush_all(noreply=False), True)
    equal("get after flush_all", client.get(key("flushed")), None)
    tried("stats", "flush")


def other_clients():
    pooled = PooledClient(address(), max_pool_size=4, timeout=10)
    hashed = HashClient([address()], use_pooling=True, timeout=10)
    for name, client in (("pooled", pooled), ("hashed", hashed)):
        wanted = {key(f"{name}:{i}"): b"v%d" % i for i in range(20)}
        client.set_many(wanted)
        equal(f"get_many of the {name} client", client.get_many(list(wanted)), wanted)
        client.close()


def main():
    version("pymemcache")
    client = connect()
    for check in (values, flags, many, conditions, compare_and_set, numbers, endings, server):
        check(client)
    client.quit()
    other_clients()


main()
