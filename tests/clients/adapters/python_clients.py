"""Python's client libraries behind the words of `loop.py`: one class for each, with the library's own calls.

    python python_clients.py NAME HOST PORT PROTOCOL

Libraries are set up as their documentation has it; a name that ends in a setting has that setting besides.
"""

import asyncio
import sys
from functools import partial

from loop import serve

SECONDS = 30
NAME, PROTOCOL = sys.argv[1], sys.argv[4]


def python_memcached(server):
    import memcache

    client = memcache.Client([server.address], socket_timeout=SECONDS)

    def cas(key, value):
        client.reset_cas()
        client.cache_cas = True
        client.gets(key)
        return client.cas(key, value)

    return calls(client, {"cas": cas, "multi": client.get_multi, "flush": client.flush_all})


def pymemcache_of(client):
    def cas(key, value):
        return client.cas(key, value, client.gets(key)[1])

    return calls(client, {
        "cas": cas,
        "multi": client.get_many,
        "incr": lambda key: client.incr(key, 1),
        "decr": lambda key: client.decr(key, 1),
        "touch": lambda key: client.touch(key, 100, noreply=False),
        "delete": lambda key: client.delete(key, noreply=False),
        "flush": lambda: client.flush_all(noreply=False),
        **{name: answered(getattr(client, name)) for name in ("set", "add", "replace", "append")},
    })  # fmt: skip


def answered(store):
    return lambda key, value: store(key, value, noreply=False)


def pymemcache(server, **settings):
    from pymemcache.client.base import Client

    return pymemcache_of(Client((server.host, server.port), connect_timeout=SECONDS, timeout=SECONDS, **settings))


def pymemcache_hash(server, **settings):
    from pymemcache.client.hash import HashClient

    return pymemcache_of(HashClient([(server.host, server.port)], connect_timeout=SECONDS, timeout=SECONDS, **settings))


def pylibmc(server, **behaviors):
    import pylibmc

    client = pylibmc.Client([server.address], binary=PROTOCOL == "binary", behaviors={"cas": True, "tcp_nodelay": True, **behaviors})

    def cas(key, value):
        return client.cas(key, value, client.gets(key)[1])

    return calls(client, {"cas": cas, "multi": client.get_multi, "flush": client.flush_all})


def libmc(server, **settings):
    import libmc

    client = libmc.Client([server.address], **settings)
    client.config(libmc.MC_POLL_TIMEOUT, SECONDS * 1000)

    def cas(key, value):
        return client.cas(key, value, 0, client.gets(key)[1])

    return calls(client, {
        "cas": cas,
        "multi": client.get_multi,
        "append": lambda key, value: client.append(key, value.encode()),
        "touch": lambda key: client.touch(key, 100),
        "incr": lambda key: client.incr(key, 1),
        "decr": lambda key: client.decr(key, 1),
    })  # fmt: skip


def bmemcached(server):
    import bmemcached

    client = bmemcached.Client([server.address], socket_timeout=SECONDS)

    def cas(key, value):
        return client.cas(key, value, client.gets(key)[1])

    return calls(client, {
        "cas": cas,
        "multi": client.get_multi,
        "incr": lambda key: client.incr(key, 1),
        "decr": lambda key: client.decr(key, 1),
        "flush": client.flush_all,
    }, leave_out=("append", "touch"))  # fmt: skip


def aiomcache(server):
    import aiomcache

    client = aiomcache.Client(server.host, server.port, pool_size=1)
    return asynchronous(client, SECONDS, "multi_get", "incr", "decr")


def emcache(server):
    import emcache

    node = emcache.MemcachedHostAddress(server.host, server.port)
    client = RUN(emcache.create_client([node], timeout=SECONDS, min_connections=1, max_connections=1))
    return asynchronous(client, SECONDS, "get_many", "increment", "decrement")


def asynchronous(client, seconds, multi, incr, decr):
    """aiomcache and emcache, which differ in a few names."""

    def done(name, *more):
        def call(key, *value):
            result = RUN(getattr(client, name)(key.encode(), *(part.encode() for part in value), *more))
            # emcache says nothing of a success.
            return True if result is None and name not in ("get", "incr", "decr", "increment", "decrement") else result

        return call

    async def many(keys):
        found = await (client.multi_get(*keys) if multi == "multi_get" else client.get_many(keys))
        return dict(zip(keys, found)) if multi == "multi_get" else found

    async def cas(key, value):
        found = await client.gets(key)
        token = found.cas if hasattr(found, "cas") else found[1]
        return await client.cas(key, value, token)

    table = {
        "multi": lambda keys: RUN(many([key.encode() for key in keys])),
        "cas": lambda key, value: RUN(cas(key.encode(), value.encode())),
        "incr": done(incr, 1),
        "decr": done(decr, 1),
        "touch": done("touch", 100),
        **{name: done(name) for name in ("get", "set", "add", "replace", "append", "delete")},
    }
    if hasattr(client, "get_and_touch"):
        table["gat"] = lambda key: RUN(client.get_and_touch(100, key.encode()))
    if multi == "multi_get":
        table["flush"] = lambda: RUN(client.flush_all())
    else:
        table["flush"] = lambda: RUN(client.flush_all(client.cluster_managment().nodes()[0]))
    return table


def meta_memcache(server):
    from meta_memcache import CacheClient, ServerAddress, connection_pool_factory_builder

    factory = connection_pool_factory_builder(connection_timeout=SECONDS, recv_timeout=SECONDS)
    client = CacheClient.cache_client_from_servers([ServerAddress(server.host, server.port)], connection_pool_factory_fn=factory)

    def cas(key, value):
        return client.set(key, value, ttl=0, cas_token=client.get_cas(key)[1])

    return {
        "get": client.get,
        "multi": lambda keys: {key.key: value for key, value in client.multi_get(keys).items()},
        "set": lambda key, value: client.set(key, value, ttl=0),
        "cas": cas,
        "delete": client.delete,
        "touch": lambda key: client.touch(key, 100),
        "incr": lambda key: client.delta_and_get(key, 1),
        "decr": lambda key: client.delta_and_get(key, -1),
    }


def django(server, backend):
    from django.conf import settings
    from django.core.cache.backends import memcached

    if not settings.configured:
        settings.configure()
    # Keys go as they are.
    cache = getattr(memcached, backend)(server.address, {"KEY_FUNCTION": lambda key, prefix, version: key})
    return {
        "get": cache.get,
        "multi": cache.get_many,
        "set": lambda key, value: cache.set(key, value) or True,
        "add": cache.add,
        "incr": cache.incr,
        "decr": cache.decr,
        "delete": cache.delete,
        "touch": lambda key: cache.touch(key, 100),
        "flush": cache.clear,
    }


def flask_caching(server):
    from cachelib import MemcachedCache
    from flask import Flask
    from flask_caching import Cache

    config = {"CACHE_TYPE": "MemcachedCache", "CACHE_MEMCACHED_SERVERS": [server.address], "CACHE_KEY_PREFIX": ""}
    cache = Cache(Flask("probe"), config=config)
    return {
        "get": cache.get,
        "multi": lambda keys: cache.get_dict(*keys),
        "set": cache.set,
        "add": cache.add,
        "delete": cache.delete,
        "flush": cache.clear,
    }


def dogpile(server, backend):
    from dogpile.cache import make_region
    from dogpile.cache.api import NO_VALUE

    arguments = {"url": [server.address], "socket_timeout": SECONDS}
    region = make_region().configure(f"dogpile.cache.{backend}", arguments=arguments)
    backend = region.backend
    # What a region stores has a header of its own, so values are read below it.
    none = lambda value: None if value is NO_VALUE else value  # noqa: E731
    return {
        "get": lambda key: none(backend.get(key)),
        "multi": lambda keys: dict(zip(keys, map(none, backend.get_multi(keys)))),
        "set": lambda key, value: backend.set(key, value) or True,
        "delete": lambda key: backend.delete(key) or True,
    }


def calls(client, special, leave_out=()):
    """The calls that most libraries name alike, and those that this one has under another name."""
    table = {name: getattr(client, name, None) for name in ("get", "set", "add", "replace", "append")}
    table |= {name: getattr(client, name, None) for name in ("incr", "decr", "delete", "touch")}
    if table["touch"]:
        touch = table["touch"]
        table["touch"] = lambda key: touch(key, 100)
    table |= special
    return {name: call for name, call in table.items() if call and name not in leave_out}


RUN = asyncio.new_event_loop().run_until_complete
# name: the distribution and how to connect to a server, with its `host`, its `port` and both as its `address`.
CLIENTS = {
    "python-memcached": ("python-memcached", python_memcached),
    "pymemcache": ("pymemcache", pymemcache),
    "pymemcache HashClient": ("pymemcache", pymemcache_hash),
    "pymemcache HashClient ignore_exc": ("pymemcache", partial(pymemcache_hash, ignore_exc=True)),
    "pylibmc": ("pylibmc", pylibmc),
    "pylibmc remove_failed": ("pylibmc", partial(pylibmc, remove_failed=1, retry_timeout=1)),
    "libmc": ("libmc", libmc),
    "bmemcached": ("python-binary-memcached", bmemcached),
    "aiomcache": ("aiomcache", aiomcache),
    "emcache": ("emcache", emcache),
    "meta-memcache": ("meta-memcache", meta_memcache),
    "Django PyMemcacheCache": ("Django", partial(django, backend="PyMemcacheCache")),
    "Django PyLibMCCache": ("Django", partial(django, backend="PyLibMCCache")),
    "Flask-Caching": ("Flask-Caching", flask_caching),
    "dogpile.cache pylibmc": ("dogpile.cache", partial(dogpile, backend="pylibmc")),
    "dogpile.cache pymemcache": ("dogpile.cache", partial(dogpile, backend="pymemcache")),
    "dogpile.cache memcached": ("dogpile.cache", partial(dogpile, backend="memcached")),
}

serve(*CLIENTS[NAME])
