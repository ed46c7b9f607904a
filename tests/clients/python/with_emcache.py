"""emcache: the text protocol on asyncio, framed in Cython."""

import asyncio

import emcache

from checks import address, version
from tour import tour


class Cache:
    def __init__(self):
        self.run = asyncio.new_event_loop().run_until_complete
        node = emcache.MemcachedHostAddress(*address())
        self.client = self.run(emcache.create_client([node], timeout=10))

    def set(self, key, value, ttl):
        self.run(self.client.set(key.encode(), value, exptime=ttl))

    def get(self, key):
        item = self.run(self.client.get(key.encode()))
        return item and item.value

    def get_multi(self, keys):
        found = self.run(self.client.get_many([key.encode() for key in keys]))
        return {key.decode(): item.value for key, item in found.items()}

    def gets(self, key):
        item = self.run(self.client.gets(key.encode()))
        return item.value, item.cas

    def cas(self, key, value, token):
        return self.done(self.client.cas(key.encode(), value, token))

    def incr(self, key, by):
        return self.run(self.client.increment(key.encode(), by))

    def decr(self, key, by):
        return self.run(self.client.decrement(key.encode(), by))

    def touch(self, key, ttl):
        return self.done(self.client.touch(key.encode(), ttl))

    def delete(self, key):
        return self.done(self.client.delete(key.encode()))

    def done(self, call):
        """False for a refusal, which the library raises."""
        try:
            self.run(call)
            return True
        except (emcache.NotStoredStorageCommandError, emcache.NotFoundCommandError):
            return False


version("emcache")
cache = Cache()
tour(cache)
cache.run(cache.client.close())
