"""Measures what client libraries make of every answer, and writes a table of it:

    tests/clients/answers/run.py OUT RINGWAY [WORD…]

RINGWAY is the program whose words are tried; WORDs choose some of the libraries. OUT/answers.md has one line for each
measurement, OUT/answers-table.md one for each client. Exit code 1
if an answer that Ringway gives by default is one that a client takes for a bad server: it shuts out the server, mixes
up replies, hangs or aborts.
"""

import concurrent.futures
import pathlib
import sys

import wording
from libraries import libraries
from measure import VERDICTS, measure
from server import Server

WORKERS = 8
HARMFUL = VERDICTS[VERDICTS.index("shuts out") :]


def main():
    output, ringway, *words = sys.argv[1:]
    output = pathlib.Path(output)
    log = output / "answers.log"
    log.unlink(missing_ok=True)
    said = wording.Wording.of(ringway, log)
    chosen = libraries(output, words)
    results = measured(chosen, said, log)
    lines = ["| client | protocol | command | answer | the program gets | then |", "|---|---|---|---|---|---|"]
    table = [f"| client | protocol | {' | '.join(wording.CLASSES)} |", "|---|---|" + "---|" * len(wording.CLASSES)]
    harmed = []
    for library, (version, found) in zip(chosen, results):
        name, protocol = library.name, library.protocol
        for it in found:
            got = it.got.replace("|", "/")
            lines.append(f"| {name} {version} | {protocol} | {it.command} | {it.answer} | {got} | {it.told()} |")
            if it.answer == said.defaults[protocol][it.command] and it.verdict in HARMFUL:
                harmed.append(lines[-1])
        table.append(f"| {name} {version} | {protocol} | {' | '.join(cells(found))} |")
    (output / "answers.md").write_text("\n".join(lines) + "\n")
    (output / "answers-table.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))
    print(f"{len(lines) - 2} measurements, in {output}/answers.md")
    if harmed:
        sys.exit("\n".join(["a default answer does harm:", *harmed]))


def measured(chosen, said, log):
    """Version and measurements of each library. They wait more than they work, so many are measured at a time."""
    parts = sorted(
        ((index, library, number) for index, library in enumerate(chosen) for number in range(library.parts)),
        key=lambda part: -part[1].parts,
    )
    results = [("", []) for _ in chosen]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(lambda part: measure_part(*part[1:], said, log), parts)
        for (index, *_), (version, more) in zip(parts, found):
            results[index] = (version, results[index][1] + more)
    for _, of_library in results:
        of_library.sort(key=lambda it: wording.COMMANDS.index(it.command))
    return results


def measure_part(library, number, said, log):
    """Measures one of `library.parts` shares of the commands, in a process and with a server of its own."""
    adapter = library.start(Server(said).port, log)
    try:
        return adapter.version, measure(adapter, wording.COMMANDS[number :: library.parts])
    finally:
        adapter.stop()


def cells(found):
    """The worst verdict in each class of answers, with the commands it is true of, or is not, unless it is true of all."""
    for name in wording.CLASSES:
        those = [it for it in found if wording.of_class(it.answer, it.command) == name]
        worst = max((it.verdict for it in those), key=VERDICTS.index, default="-")
        commands = sorted({it.command for it in those}, key=wording.COMMANDS.index)
        bad = [command for command in commands if any(it.command == command and it.verdict == worst for it in those)]
        good = [command for command in commands if command not in bad]
        which = ", ".join(bad) if len(bad) <= len(good) else "all but " + ", ".join(good)
        yield f"{worst} ({which})" if good else worst


main()
