<?php
// PHP's memcached extension (libmemcached), in its text or its binary protocol:
//
//     php with_memcached.php 127.0.0.1 11211 text
//
// It prints `version` and the library's, then `ok` and a name for each step that held.

require __DIR__ . "/checks.php";

[, $host, $port, $protocol] = $argv;
echo "version ", phpversion("memcached"), "\n";
$client = new Memcached();
$client->setOptions([
    Memcached::OPT_BINARY_PROTOCOL => $protocol === "binary",
    Memcached::OPT_COMPRESSION => false,
    Memcached::OPT_TCP_NODELAY => true,
    Memcached::OPT_POLL_TIMEOUT => 10000,
]);
$client->addServer($host, (int) $port);

equal("set", $client->set(named("text"), "some text", 100), true);
equal("get", $client->get(named("text")), "some text");
equal("get of nothing", $client->get(named("nothing")), false);
equal("its result code", $client->getResultCode(), Memcached::RES_NOTFOUND);
tried("set", "get");

equal("set of every byte", $client->set(named("bytes"), $binary), true);
equal("get of every byte", $client->get(named("bytes")), $binary);
tried("binary-safe");
equal("set of 900 KB", $client->set(named("large"), $large), true);
equal("get of 900 KB", $client->get(named("large")), $large);
tried("900 KB");
$typed = ["a" => [1, 2.5, null, true], "b" => "Grüße"];
equal("set of an array", $client->set(named("typed"), $typed), true);
equal("get of an array", $client->get(named("typed")), $typed);
tried("serialized");

$wanted = [];
for ($i = 0; $i < 100; $i++) {
    $wanted[named("many:$i")] = "value $i";
}
equal("setMulti", $client->setMulti($wanted, 100), true);
$found = $client->getMulti([...array_keys($wanted), named("nothing")], Memcached::GET_PRESERVE_ORDER);
equal("getMulti of 100 and a miss", $found, $wanted + [named("nothing") => null]);
tried("multi-get");

$client->set(named("cas"), "first");
$item = $client->get(named("cas"), null, Memcached::GET_EXTENDED);
equal("gets", $item["value"], "first");
equal("cas", $client->cas($item["cas"], named("cas"), "second"), true);
equal("cas with an old token", $client->cas($item["cas"], named("cas"), "third"), false);
equal("its result code", $client->getResultCode(), Memcached::RES_DATA_EXISTS);
equal("get after cas", $client->get(named("cas")), "second");
tried("cas");

equal("incr of nothing", $client->increment(named("number")), false);
$client->set(named("number"), "10");
equal("incr", $client->increment(named("number"), 32), 42);
equal("decr", $client->decrement(named("number"), 2), 40);
equal("decr stops at 0", $client->decrement(named("number"), 100), 0);
tried("incr", "decr");
if ($protocol === "binary") {
    equal("incr with an initial value", $client->increment(named("made"), 5, 7, 100), 7);
    equal("incr of what was made", $client->increment(named("made"), 5, 7, 100), 12);
    tried("initial value");
}

equal("replace of nothing", $client->replace(named("condition"), "a"), false);
equal("append to nothing", $client->append(named("condition"), "a"), false);
equal("add", $client->add(named("condition"), "b"), true);
equal("add again", $client->add(named("condition"), "c"), false);
equal("replace", $client->replace(named("condition"), "d"), true);
equal("append", $client->append(named("condition"), "e"), true);
equal("prepend", $client->prepend(named("condition"), "c"), true);
equal("after all", $client->get(named("condition")), "cde");
tried("add", "replace", "append");

$client->set(named("deleted"), "v");
equal("delete", $client->delete(named("deleted")), true);
equal("get of the deleted", $client->get(named("deleted")), false);
equal("delete of nothing", $client->delete(named("deleted")), false);
equal("deleteMulti", array_unique($client->deleteMulti(array_keys($wanted))), [array_key_first($wanted) => true]);
equal("getMulti of the deleted", $client->getMulti(array_keys($wanted)), []);
tried("delete");

// Keys that end after a second, that are told to, and that were to end and are told to stay.
$client->set(named("stays"), "v", 3);
$client->set(named("gone"), "v", 1);
$client->set(named("shortened"), "v", 100);
equal("touch to stay", $client->touch(named("stays"), 100), true);
equal("touch to end", $client->touch(named("shortened"), 1), true);
equal("touch of nothing", $client->touch(named("nothing"), 100), false);
$client->set(named("last"), "v", 3);
vanishes(fn () => $client->get(named("gone")));
tried("expire");
vanishes(fn () => $client->get(named("shortened")));
vanishes(fn () => $client->get(named("last")));
equal("get of what was touched to stay", $client->get(named("stays")), "v");
tried("touch");
