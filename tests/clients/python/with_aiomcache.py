"""aiomcache: the text protocol on asyncio."""

import asyncio

import aiomcache

from checks import address, version
from tour import tour


class Cache:
    def __init__(self):
        self.run = asyncio.new_event_loop().run_until_complete
        self.client = aiomcache.Client(*address())

    def set(self, key, value, ttl):
        assert self.run(self.client.set(key.encode(), value, exptime=ttl))

    def get(self, key):
        return self.run(self.client.get(key.encode()))

    def get_multi(self, keys):
        found = self.run(self.client.multi_get(*(key.encode() for key in keys)))
        return {key: value for key, value in zip(keys, found) if value is not None}

    def gets(self, key):
        return self.run(self.client.gets(key.encode()))

    def cas(self, key, value, token):
        return self.run(self.client.cas(key.encode(), value, token))

    def incr(self, key, by):
        return self.run(self.client.incr(key.encode(), by))

    def decr(self, key, by):
        return self.run(self.client.decr(key.encode(), by))

    def touch(self, key, ttl):
        return self.run(self.client.touch(key.encode(), ttl))

    def delete(self, key):
        return self.run(self.client.delete(key.encode()))


version("aiomcache")
tour(Cache())
