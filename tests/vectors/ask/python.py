"""Asks pymemcache and python-memcached where keys go; reads and writes as Spymemcached.java does, but a node's state
(`up` or `down`) stands behind its weight."""
import sys

import memcache
from pymemcache.client.hash import HashClient


def pymemcache(nodes, keys):
    """Keys are texts to it; those that are no UTF-8 cannot be asked for."""
    client = HashClient([(address, int(port)) for _, address, port, _, state in nodes if state == "up"])
    index = {f"{address}:{port}": at for at, (_, address, port, _, _) in enumerate(nodes)}

    def pick(key):
        try:
            return index[client.hasher.get_node(key.decode())]
        except UnicodeDecodeError:
            return -1

    return [pick(key) for key in keys]


def python_memcached(nodes, keys):
    """What connects and what does not is told, not tried."""
    client = memcache.Client([(f"{address}:{port}", int(weight)) for _, address, port, weight, _ in nodes])
    for at, server in enumerate(client.servers):
        server.at, server.connect = at, lambda up=nodes[at][4] == "up": up

    def pick(key):
        server, _ = client._get_server(key)
        return -1 if server is None else server.at

    return [pick(key) for key in keys]


def main():
    """All cases, one by one."""
    lines = iter(sys.stdin.read().splitlines())
    keys = [bytes.fromhex(next(lines)) for _ in range(int(next(lines).split()[1]))]
    for line in lines:
        _, preset, count, _ = line.split()
        nodes = [next(lines).split() for _ in range(int(count))]
        ask = {"pymemcache": pymemcache, "python-memcached": python_memcached}[preset]
        print(*ask(nodes, keys))


main()
