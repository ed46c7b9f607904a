"""The client libraries whose adapters can be driven: which there are, and how each is started."""

import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass

from driver import Adapter

ADAPTERS = pathlib.Path(__file__).parent.parent / "adapters"


@dataclass
class Library:
    """A client library, or a set-up of it, in one of its protocols."""

    name: str
    protocol: str
    command: list
    # The Debian package that tells the version of a library that does not know it.
    package: str = ""
    # Processes to measure it with at once; more than one for a library that waits long after an error.
    parts: int = 1

    def start(self, port, log):
        """Its adapter, connected to `port`."""
        adapter = Adapter([os.fspath(word) for word in self.command], port, self.protocol, log)
        if self.package:
            version = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}", self.package], text=True)
            # Without the part that is Debian's own.
            adapter.version = version.split("+")[0].split("-")[0]
        return adapter


def libraries(output, words=()):
    """All of them, whose programs were built below `output`; or those whose name holds one of `words`."""
    python = [sys.executable, ADAPTERS / "python_clients.py"]
    php = ["php", ADAPTERS / "memcached.php"]
    perl = ["perl", ADAPTERS / "perl_clients.pl"]
    node = ["node", ADAPTERS / "node_clients.js"]
    java = ["java", "-Xmx64m", "-cp", f"{output}/java:/usr/share/java/spymemcached.jar", "Spymemcached", "spymemcached"]
    tools = [ADAPTERS / "libmemcached_tools.sh", "tools"]
    rust = output / "rust/debug/adapter"
    every = [
        *(Library(name, "text", [*python, name]) for name in (
            "python-memcached", "pymemcache", "pymemcache HashClient", "pymemcache HashClient ignore_exc", "pylibmc",
            "pylibmc remove_failed", "aiomcache", "emcache", "Django PyMemcacheCache", "Django PyLibMCCache",
            "libmc", "Flask-Caching", "dogpile.cache pylibmc", "dogpile.cache pymemcache", "dogpile.cache memcached",
        )),
        Library("pylibmc", "binary", [*python, "pylibmc"]),
        Library("bmemcached", "binary", [*python, "bmemcached"]),
        Library("meta-memcache", "meta", [*python, "meta-memcache"]),
        Library("php-memcached", "text", [*php, "plain"]),
        Library("php-memcached", "binary", [*php, "plain"]),
        Library("php-memcached ejecting", "text", [*php, "ejecting"]),
        Library("php-memcached buffered", "text", [*php, "buffered"]),
        Library("php-memcached buffered", "binary", [*php, "buffered"]),
        Library("php-memcache", "text", ["php", ADAPTERS / "memcache.php", "plain"]),
        Library("Cache::Memcached", "text", [*perl, "Cache::Memcached"]),
        Library("Cache::Memcached::Fast", "text", [*perl, "Cache::Memcached::Fast"]),
        Library("dalli", "binary", ["ruby", ADAPTERS / "dalli.rb", "dalli"]),
        Library("memcached (npm)", "text", [*node, "memcached"]),
        Library("memcache-client (npm)", "text", [*node, "memcache-client"]),
        Library("memcache-plus (npm)", "text", [*node, "memcache-plus"]),
        Library("memjs (npm)", "binary", [*node, "memjs"]),
        Library("gomemcache", "text", [output / "gomemcache", "gomemcache"], "golang-github-bradfitz-gomemcache-dev"),
        Library("spymemcached", "text", java, "libspymemcached-java", parts=6),
        Library("spymemcached", "binary", java, "libspymemcached-java", parts=4),
        Library("libmemcached tools", "text", tools),
        Library("libmemcached tools", "binary", tools),
        *(Library("memcache (Rust)", protocol, [rust, "memcache"]) for protocol in ("text", "binary", "meta")),
        *(Library("async-memcached (Rust)", protocol, [rust, "async-memcached"]) for protocol in ("text", "meta")),
    ]  # fmt: skip
    chosen = [it for it in every if not words or any(word.lower() in it.name.lower() for word in words)]
    return chosen or sys.exit(f"no library is called {' or '.join(words)}")
