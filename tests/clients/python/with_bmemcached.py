"""bmemcached (python-binary-memcached): the binary protocol in pure Python."""

import bmemcached

from checks import address, version
from tour import tour


class Cache:
    # It writes numbers as text, and flags them as such.
    TEN = "10"

    def __init__(self):
        host, port = address()
        self.client = bmemcached.Client([f"{host}:{port}"], socket_timeout=10)
        self.get = self.client.get
        self.get_multi = self.client.get_multi
        self.gets = self.client.gets
        self.cas = self.client.cas
        self.incr = self.client.incr
        self.decr = self.client.decr

    def set(self, key, value, ttl):
        assert self.client.set(key, value, time=ttl)

    def delete(self, key):
        # It calls a delete of nothing a success: what was there before tells the two apart.
        was_there = self.client.get(key) is not None
        assert self.client.delete(key)
        return was_there


version("python-binary-memcached")
tour(Cache())
