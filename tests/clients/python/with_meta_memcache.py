"""meta-memcache: the meta commands.

It reads cas ids of up to 32 bits, and takes a larger one for none: its conditional set is then an unconditional one. With
LARGE_CAS_IDS=1 in the environment it takes no step with cas.
"""

import os

from meta_memcache import CacheClient, ServerAddress, connection_pool_factory_builder

from checks import address, version
from tour import tour


class Cache:
    # It writes numbers as text, and flags them as such.
    TEN = 10

    def __init__(self):
        self.client = CacheClient.cache_client_from_servers(
            servers=[ServerAddress(*address())],
            connection_pool_factory_fn=connection_pool_factory_builder(
                connection_timeout=10,
                recv_timeout=10,
                # Its 4 KiB would take 20 s to read 900 KB, from any server.
                read_buffer_size=1 << 20,
            ),
        )
        self.get = self.client.get
        self.gets = self.client.get_cas
        self.incr = self.client.delta_and_get
        self.touch = self.client.touch
        self.delete = self.client.delete

    def set(self, key, value, ttl):
        assert self.client.set(key, value, ttl=ttl)

    def get_multi(self, keys):
        found = self.client.multi_get(keys)
        return {key.key: value for key, value in found.items() if value is not None}

    def cas(self, key, value, token):
        return self.client.set(key, value, ttl=0, cas_token=token)

    def decr(self, key, by):
        return self.client.delta_and_get(key, -by)


if os.environ.get("LARGE_CAS_IDS"):
    del Cache.cas
version("meta-memcache")
tour(Cache())
