"""dogpile.cache over the backend in the last argument, as its documentation has it."""

import sys

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE

from checks import BINARY, LARGE, address, becomes, equal, key, tried, version

backend = sys.argv.pop(1)
host, port = address()
version("dogpile.cache")


def connect(**arguments):
    arguments |= {"url": [f"{host}:{port}"], "distributed_lock": True}
    return make_region().configure(f"dogpile.cache.{backend}", expiration_time=100, arguments=arguments)


region = connect()
for name, value in {"text": "some text", "bytes": BINARY, "large": LARGE, "typed": {"a": [1, None]}}.items():
    region.set(key(name), value)
    equal(f"get of {name}", region.get(key(name)), value)
equal("get of nothing", region.get(key("nothing")), NO_VALUE)
tried("set", "get", "binary-safe", "900 KB")
wanted = {key(f"many:{i}"): i for i in range(100)}
region.set_multi(wanted)
equal("get_multi", region.get_multi([*wanted, key("nothing")]), [*wanted.values(), NO_VALUE])
region.delete_multi(list(wanted))
equal("get_multi of the deleted", set(region.get_multi(list(wanted))), {NO_VALUE})
tried("multi-get", "set_multi", "delete")
made = []
for _ in range(2):
    equal("get_or_create", region.get_or_create(key("made"), lambda: made.append(1) or "made"), "made")
equal("made once, under a lock in the cache", made, [1])
tried("get_or_create", "lock")
short = connect(memcached_expire_time=1)
short.set(key("short"), "v")
becomes("expiry after a second", lambda: short.get(key("short")), NO_VALUE)
tried("expire")
