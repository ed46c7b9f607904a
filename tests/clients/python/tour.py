"""The same tour for every client library: what a cache is for, through whatever methods the library has.

A script gives a class with the library's own calls behind these names:

    set(key, value, ttl)    get(key) -> value or None     get_multi(keys) -> {key: value} of those found
    delete(key) -> bool     touch(key, ttl) -> bool       gets(key) -> (value, token)
    incr(key, by), decr(key, by) -> the new number        cas(key, value, token) -> bool

A method that the class has not is a step that the library cannot take; the tour leaves it out.
"""

from checks import BINARY, LARGE, becomes, equal, key, tried


def tour(client):
    """Takes every step that `client` can, and ends the script where one differs."""
    values(client)
    many(client)
    if hasattr(client, "cas"):
        compare_and_set(client)
    if hasattr(client, "incr"):
        numbers(client)
    if hasattr(client, "delete"):
        deletion(client)
    ends(client)


def values(client):
    client.set(key("text"), b"some text", 100)
    equal("get", client.get(key("text")), b"some text")
    equal("get of nothing", client.get(key("nothing")), None)
    tried("set", "get")
    client.set(key("bytes"), BINARY, 100)
    equal("get of every byte", client.get(key("bytes")), BINARY)
    client.set(key("empty"), b"", 100)
    equal("get of an empty value", client.get(key("empty")), b"")
    tried("binary-safe")
    client.set(key("large"), LARGE, 100)
    equal("get of 900 KB", client.get(key("large")), LARGE)
    tried("900 KB")


def many(client):
    wanted = {key(f"many:{i}"): b"value %d" % i for i in range(100)}
    for name, value in wanted.items():
        client.set(name, value, 100)
    equal("get_multi of 100 and a miss", client.get_multi([*wanted, key("nothing")]), wanted)
    tried("multi-get")


def compare_and_set(client):
    name = key("cas")
    client.set(name, b"first", 100)
    value, token = client.gets(name)
    equal("gets", value, b"first")
    equal("cas", client.cas(name, b"second", token), True)
    equal("cas with an old token", client.cas(name, b"third", token), False)
    equal("get after cas", client.get(name), b"second")
    tried("cas")


def numbers(client):
    name = key("number")
    client.set(name, getattr(client, "TEN", b"10"), 100)
    equal("incr", client.incr(name, 32), 42)
    equal("decr", client.decr(name, 2), 40)
    equal("decr again", client.decr(name, 39), 1)
    tried("incr", "decr")


def deletion(client):
    client.set(key("deleted"), b"v", 100)
    equal("delete", client.delete(key("deleted")), True)
    equal("get of the deleted", client.get(key("deleted")), None)
    equal("delete of nothing", client.delete(key("deleted")), False)
    tried("delete")


def ends(client):
    """Keys that end after a second, that are told to, and that were to end and are told to stay."""
    touches = hasattr(client, "touch")
    client.set(key("stays"), b"v", 3)
    client.set(key("gone"), b"v", 1)
    client.set(key("shortened"), b"v", 100)
    if touches:
        equal("touch to stay", client.touch(key("stays"), 100), True)
        equal("touch to end", client.touch(key("shortened"), 1), True)
        equal("touch of nothing", client.touch(key("nothing"), 100), False)
    client.set(key("last"), b"v", 3)
    becomes("expiry after a second", lambda: client.get(key("gone")), None)
    tried("expire")
    if not touches:
        return
    becomes("expiry after touch", lambda: client.get(key("shortened")), None)
    becomes("expiry of what was stored last", lambda: client.get(key("last")), None)
    equal("get of what was touched to stay", client.get(key("stays")), b"v")
    tried("touch")
