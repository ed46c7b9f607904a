"""libmc (Douban's C++ client), as its README has it: the text protocol."""

import libmc

from checks import address, key, tried, version
from tour import tour


class Cache:
    # It pickles all but numbers and bytes, and counts numbers only.
    TEN = 10

    def __init__(self):
        host, port = address()
        self.client = libmc.Client([f"{host}:{port}"])
        self.client.config(libmc.MC_POLL_TIMEOUT, 10_000)
        self.get = self.client.get
        self.get_multi = self.client.get_multi
        self.gets = self.client.gets
        self.incr = self.client.incr
        self.decr = self.client.decr
        self.touch = self.client.touch

    def set(self, key, value, ttl):
        assert self.client.set(key, value, ttl)

    def cas(self, key, value, token):
        return self.client.cas(key, value, 0, token)


version("libmc")
cache = Cache()
tour(cache)
# What is gone counts as deleted, so the tour does not look at it.
cache.set(key("deleted"), b"v", 100)
assert cache.client.delete(key("deleted")) and cache.get(key("deleted")) is None
tried("delete")
