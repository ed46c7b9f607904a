<?php
// PHP's memcache extension (PECL), as its manual has it: the text protocol.
//
//     php with_memcache.php 127.0.0.1 11211 text
//
// It prints `version` and the library's, then `ok` and a name for each step that held.

require __DIR__ . "/checks.php";

[, $host, $port] = $argv;
echo "version ", phpversion("memcache"), "\n";
$client = new Memcache();
$client->addServer($host, (int) $port, false, 1, 10);

equal("set", $client->set(named("text"), "some text", 0, 100), true);
equal("get", $client->get(named("text")), "some text");
equal("get of nothing", $client->get(named("nothing")), false);
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
    equal("set of one of many", $client->set(named("many:$i"), "value $i"), true);
}
$found = $client->get([...array_keys($wanted), named("nothing")]);
ksort($found);
ksort($wanted);
equal("get of 100 and a miss", $found, $wanted);
tried("multi-get");

equal("incr of nothing", $client->increment(named("number")), false);
$client->set(named("number"), "10");
equal("incr", $client->increment(named("number"), 32), 42);
equal("decr", $client->decrement(named("number"), 2), 40);
equal("decr stops at 0", $client->decrement(named("number"), 100), 0);
tried("incr", "decr");

equal("replace of nothing", $client->replace(named("condition"), "a"), false);
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
tried("delete");

$client->set(named("gone"), "v", 0, 1);
vanishes(fn () => $client->get(named("gone")));
tried("expire");
equal("flush", $client->flush(), true);
equal("get after flush", $client->get(named("text")), false);
tried("flush");
