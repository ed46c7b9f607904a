"""The status page in a real browser: what it shows, in all its forms; what it does on a click; and that nothing that
comes from outside becomes markup. Pictures of each form are left in the folder that is the second argument.

    tests/page/check.py PROGRAM FOLDER
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from chromium import Chromium

PROGRAM, FOLDER = sys.argv[1:3]
# As a configuration allows it: without spaces.
EVIL = '<img/src=x/onerror="document.title=`owned`">&amp;"\'</script><script>document.title=`owned`</script>'


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Ringway:
    """A running Ringway with a client that never stops asking."""

    def __init__(self, pools):
        self.port, self.late, self.admin = free_port(), free_port(), free_port()
        self.directory = tempfile.TemporaryDirectory()
        self.file = os.path.join(self.directory.name, "ringway.yaml")
        self.write(pools)
        self.process = subprocess.Popen([PROGRAM, "--config", self.file], stderr=subprocess.DEVNULL)
        self.address = f"http://127.0.0.1:{self.admin}/"
        end = time.monotonic() + 30
        while not self.is_ready():
            assert time.monotonic() < end and self.process.poll() is None, "ringway is not ready"
            time.sleep(0.05)
        threading.Thread(target=self.load, daemon=True).start()

    def write(self, pools):
        listeners = [(self.port, "main"), (self.late, "late" if "late" in pools else "main")]
        config = {"listeners": [{"bind": f"127.0.0.1:{port}", "route": route} for port, route in listeners],
                  "admin": {"bind": f"127.0.0.1:{self.admin}"}, "pools": pools}
        with open(self.file + ".new", "w") as file:
            json.dump(config, file)
        os.rename(self.file + ".new", self.file)

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.address + "readyz").status == 200
        except OSError:
            return False

    def load(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                answers = client.makefile("rb")
                for turn in range(10**9):
                    client.sendall(b"set k%d 0 0 1\r\nv\r\nget k%d\r\nget none\r\n" % (turn % 300, turn % 300))
                    ends = 0
                    while ends < 2:
                        line = answers.readline()
                        if not line:
                            return
                        ends += line == b"END\r\n"
                    time.sleep(0.005)
        except OSError:
            pass

    def stop(self):
        self.process.kill()
        self.process.wait()


def embedded(*names):
    return [{"name": name, "embedded": "1MiB"} for name in names]


def text(browser, selector):
    return browser.ask(f"document.querySelector({json.dumps(selector)}).innerText")


def row_of(browser, node):
    """The texts of the cells of a node."""
    return browser.ask(
        "Array.from(Array.from(document.querySelectorAll('#nodes tbody tr'))"
        f".find((row) => row.cells[0].firstChild.textContent === {json.dumps(node)}).cells, (cell) => cell.innerText)")


def rates_are_there(browser):
    browser.wait_for("parseFloat(document.querySelector('#pools tbody tr:last-child')?.cells[2].innerText) > 0")


def check_forms(browser, ringway, name):
    """Looks at the page light and dark, wide and on a phone."""
    forms = {"light": {}, "dark": {"is_dark": True}, "phone": {"width": 390, "height": 844, "is_phone": True}}
    grounds = set()
    for form, how in forms.items():
        browser.open(ringway.address, **how)
        rates_are_there(browser)
        browser.screenshot(os.path.join(FOLDER, f"{name}-{form}.png"))
        overflow = browser.ask("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{name} {form}: wider than the window by {overflow}"
        grounds.add(browser.ask("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2, grounds


def a_look_at_a_cluster_with_a_node_that_is_down(browser):
    nodes = embedded("one", "two") + [{"name": "gone", "address": f"127.0.0.1:{free_port()}"}]
    pools = {"main": {"distribution": "ringway", "nodes": nodes, "health": {"down_after": 1}}}
    ringway = Ringway(pools)
    try:
        browser.open(ringway.address)
        browser.wait_for("document.querySelector('#notes').innerText.includes('1 node is down: gone')")
        rates_are_there(browser)
        assert text(browser, "#phase") == "ready"
        gone = row_of(browser, "gone")
        assert gone[1].startswith("down") and "refused" in gone[10], gone
        assert "/s" in text(browser, "#tiles") and "%" in row_of(browser, "one")[2]
        check_forms(browser, ringway, "down")

        browser.open(ringway.address)
        rates_are_there(browser)
        a_node_is_drained_by_keyboard_and_only_once_it_is_confirmed(browser)
        a_key_is_explained(browser)
        a_refused_file_is_shown(browser, ringway, pools)
        what_is_no_longer_answered_is_marked(browser, ringway)
    finally:
        ringway.stop()


def a_node_is_drained_by_keyboard_and_only_once_it_is_confirmed(browser):
    button = "Array.from(document.querySelectorAll('button.Drain')).find((one) => one.ariaLabel.includes(' two '))"
    for is_confirmed in (False, True):
        browser.ask(button + ".focus()")
        browser.press("Enter", 13, "\r")
        browser.wait_for("document.querySelector('#dialog').open")
        assert browser.ask("document.activeElement.id") == "dialog-close", "the way out has the focus"
        if is_confirmed:
            browser.press("Tab", 9)
        browser.press("Enter", 13, "\r")
        if is_confirmed:
            browser.wait_for("document.querySelector('#dialog-answer').innerText.includes('drained')")
            browser.press("Escape", 27)
        browser.wait_for("!document.querySelector('#dialog').open")
        drained = "document.querySelector('#nodes').innerText.includes('up, drained')"
        if is_confirmed:
            browser.wait_for(drained)
        else:
            browser.ask("look()")
            assert not browser.ask(drained)
    assert row_of(browser, "two")[2].startswith("0.0"), "a drained node takes no keys"


def a_key_is_explained(browser):
    browser.ask("document.querySelector('#live').checked = true")
    browser.ask(f"document.querySelector('#key').value = {json.dumps(EVIL)}")
    browser.ask("document.querySelector('#key').focus()")
    browser.press("Enter", 13, "\r")
    browser.wait_for("document.querySelector('#explained li')")
    explained = text(browser, "#explained")
    assert "→ pool main, node" in explained and "live:" in explained and "<img" in explained, explained
    assert browser.ask("document.images.length") == 0


def a_refused_file_is_shown(browser, ringway, pools):
    ringway.write({"main": {**pools["main"], "distributon": "ringway"}})
    browser.wait_for("document.querySelector('#notes').innerText.includes('distributon')")
    fewer = {"main": {**pools["main"], "nodes": pools["main"]["nodes"][:1] + embedded("three")}}
    ringway.write(fewer)
    browser.wait_for("/% of all keys moved/.test(document.querySelector('#config').innerText)")


def what_is_no_longer_answered_is_marked(browser, ringway):
    complaints = browser.complaints()
    assert not complaints, complaints
    ringway.stop()
    browser.wait_for("document.body.classList.contains('stale')")
    assert text(browser, "#seen").startswith("no answer")
    browser.events.clear()


def two_hundred_nodes(browser):
    names = [f"cache-{number}" for number in range(200)]
    ringway = Ringway({"main": {"distribution": "ringway", "nodes": embedded(*names)}})
    try:
        check_forms(browser, ringway, "many")
        browser.open(ringway.address)
        rates_are_there(browser)
        count = "document.querySelectorAll('#nodes tbody tr').length"
        assert browser.ask(count) == 200
        browser.ask("document.querySelectorAll('#nodes th button')[2].click()")
        shares = browser.ask("Array.from(document.querySelectorAll('#nodes tbody tr'), (r) => parseFloat(r.cells[2].innerText))")
        assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1], shares
        browser.ask("document.querySelector('#words').focus()")
        browser.call("Input.insertText", text="cache-19")
        browser.wait_for(count + " === 11")
        assert text(browser, "#count") == "11 of 200"
        assert not browser.complaints(), browser.complaints()
    finally:
        ringway.stop()


def names_that_are_markup(browser):
    pools = {"main": {"distribution": "ringway", "nodes": embedded(EVIL, "b") + [
        {"name": EVIL + "2", "address": f"127.0.0.1:{free_port()}"}]}, EVIL: {"nodes": embedded("c")}}
    ringway = Ringway(pools)
    try:
        check_forms(browser, ringway, "hostile")
        assert row_of(browser, EVIL)[1].startswith("up")
        assert EVIL in browser.ask("document.querySelector('#pools').textContent")
        assert browser.ask("document.images.length + document.scripts.length") == 1
        assert browser.ask("document.title") == "Ringway ready"
        assert not browser.complaints(), browser.complaints()
    finally:
        ringway.stop()


class SlowNode:
    """A node that answers each get after a while."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        for line in client.makefile("rb"):
            if line.startswith(b"version"):
                client.sendall(b"VERSION 1.4.5\r\n")
            elif line.startswith(b"get"):
                time.sleep(0.03)
                client.sendall(b"END\r\n")


def slow_requests(browser):
    pools = {"main": {"nodes": embedded("here")}, "late": {"nodes": [SlowNode().address], "insight": {"slow": "20ms", "miss_ratio": True}}}
    ringway = Ringway(pools)
    try:
        with socket.create_connection(("127.0.0.1", ringway.late)) as client:
            client.sendall(b"get %s\r\n" % EVIL.encode())
            assert client.recv(100) == b"END\r\n"
        browser.open(ringway.address)
        browser.wait_for("!document.querySelector('#slow-section').hidden")
        row = "Array.from(document.querySelector('#slow tbody tr').cells, (cell) => cell.innerText)"
        took, request = browser.ask(row)[1], browser.ask(row)[5]
        assert took.endswith("ms") and request == "get " + EVIL, browser.ask(row)
        assert browser.ask("document.querySelectorAll('#slow th, #hot th').length") == 15
        browser.wait_for("!document.querySelector('#memory-section').hidden")
        assert text(browser, "#memory tbody tr").startswith("late"), text(browser, "#memory")
        check_forms(browser, ringway, "slow")
        assert browser.ask("document.images.length + document.scripts.length") == 1
        assert not browser.complaints(), browser.complaints()
    finally:
        ringway.stop()


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for scenario in (a_look_at_a_cluster_with_a_node_that_is_down, two_hundred_nodes, names_that_are_markup,
                     slow_requests):
        browser = Chromium()
        try:
            scenario(browser)
        finally:
            browser.close()
        print("ok", scenario.__name__)


if __name__ == "__main__":
    main()
