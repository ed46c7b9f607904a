"""Measures what client libraries make of every answer, and writes a table of it: tests/clients/answers/run.py OUT.

OUT/answers.md has one line for each measurement, OUT/answers-table.md one for each client; `--write-docs` puts the
latter into docs/clients.md. Exit code 1 if an answer that Ringway gives by default is one that a client takes for
a bad server: it shuts out the server, mixes up replies, hangs or aborts.
"""

import concurrent.futures
import os
import pathlib
import sys

import wording
from driver import Adapter
from measure import VERDICTS, measure
from server import Server

HERE = pathlib.Path(__file__).parent.parent
ADAPTERS = HERE / "adapters"
PYTHON = [sys.executable, ADAPTERS / "python_clients.py"]
# name, protocol, command
CLIENTS = [
    *((name, "text", [*PYTHON, name]) for name in (
        "python-memcached", "pymemcache", "pymemcache HashClient", "pymemcache HashClient ignore_exc", "pylibmc",
        "pylibmc remove_failed", "aiomcache", "emcache", "Django PyMemcacheCache", "Django PyLibMCCache",
        "libmc", "Flask-Caching", "dogpile.cache pylibmc", "dogpile.cache pymemcache", "dogpile.cache memcached",
    )),
    ("pylibmc", "binary", [*PYTHON, "pylibmc"]),
    ("bmemcached", "binary", [*PYTHON, "bmemcached"]),
    ("meta-memcache", "meta", [*PYTHON, "meta-memcache"]),
    ("php-memcached", "text", ["php", ADAPTERS / "memcached.php", "plain"]),
    ("php-memcached", "binary", ["php", ADAPTERS / "memcached.php", "plain"]),
    ("php-memcached ejecting", "text", ["php", ADAPTERS / "memcached.php", "ejecting"]),
    ("php-memcached buffered", "text", ["php", ADAPTERS / "memcached.php", "buffered"]),
    ("php-memcache", "text", ["php", ADAPTERS / "memcache.php", "plain"]),
    ("Cache::Memcached", "text", ["perl", ADAPTERS / "perl_clients.pl", "Cache::Memcached"]),
    ("Cache::Memcached::Fast", "text", ["perl", ADAPTERS / "perl_clients.pl", "Cache::Memcached::Fast"]),
    ("dalli", "binary", ["ruby", ADAPTERS / "dalli.rb", "dalli"]),
    ("memcached (npm)", "text", ["node", ADAPTERS / "node_clients.js", "memcached"]),
    ("memcache-client (npm)", "text", ["node", ADAPTERS / "node_clients.js", "memcache-client"]),
]  # fmt: skip
HARMFUL = VERDICTS[VERDICTS.index("shuts out") :]
DOCS = pathlib.Path("docs/clients.md")


def main():
    output = pathlib.Path(sys.argv[1])
    log = output / "answers.log"
    log.unlink(missing_ok=True)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda client: one(client, log), CLIENTS))
    lines = ["| client | protocol | command | answer | the program gets | then |", "|---|---|---|---|---|---|"]
    table = [f"| client | protocol | {' | '.join(wording.CLASSES)} |", "|---|---|" + "---|" * len(wording.CLASSES)]
    harmed = []
    for (name, protocol, _), (version, found) in zip(CLIENTS, results):
        for it in found:
            got = it.got.replace("|", "/")
            lines.append(f"| {name} {version} | {protocol} | {it.command} | {it.answer} | {got} | {it.told()} |")
            if it.answer in wording.DEFAULTS.get(it.command, ()) and it.verdict in HARMFUL:
                harmed.append(lines[-1])
        table.append(f"| {name} {version} | {protocol} | {' | '.join(cells(found))} |")
    (output / "answers.md").write_text("\n".join(lines) + "\n")
    (output / "answers-table.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))
    print(f"{len(lines) - 2} measurements, in {output}/answers.md")
    if "--write-docs" in sys.argv:
        write_docs(table)
    if harmed:
        sys.exit("\n".join(["a default answer does harm:", *harmed]))


def one(client, log):
    name, protocol, command = client
    adapter = Adapter([os.fspath(word) for word in command], Server().port, protocol, log)
    adapter.protocol = protocol
    try:
        return adapter.version, measure(adapter)
    finally:
        adapter.stop()


def cells(found):
    """The worst verdict in each class of answers, with the commands it is true of unless it is true of all."""
    for name in wording.CLASSES:
        those = [it for it in found if wording.of_class(it.answer, it.command) == name]
        worst = max((it.verdict for it in those), key=VERDICTS.index, default="-")
        commands = sorted({it.command for it in those}, key=wording.COMMANDS.index)
        bad = [command for command in commands if any(it.command == command and it.verdict == worst for it in those)]
        yield worst if bad == commands else f"{worst} ({', '.join(bad)})"


def write_docs(table):
    text = DOCS.read_text()
    before, rest = text.split("<!-- answers:begin -->\n")
    after = rest.split("<!-- answers:end -->\n")[1]
    DOCS.write_text(f"{before}<!-- answers:begin -->\n{chr(10).join(table)}\n<!-- answers:end -->\n{after}")


main()
