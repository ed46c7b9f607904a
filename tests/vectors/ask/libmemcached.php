<?php
// Asks php-memcached where keys go; reads and writes as Spymemcached.java does. -1: a key that it refuses.
$presets = [
    'ketama' => [Memcached::OPT_LIBKETAMA_COMPATIBLE => true],
    'libmemcached-consistent' => [Memcached::OPT_DISTRIBUTION => Memcached::DISTRIBUTION_CONSISTENT],
    'libmemcached-modula' => [],
];
$keys = [];
for ($left = (int) explode(' ', fgets(STDIN))[1]; $left > 0; $left--) {
    $keys[] = hex2bin(trim(fgets(STDIN)));
}
while (($line = fgets(STDIN)) !== false) {
    [, $preset, $count] = explode(' ', trim($line));
    $client = new Memcached();
    foreach ($presets[$preset] as $option => $value) {
        $client->setOption($option, $value);
    }
    $servers = $index = [];
    for ($at = 0; $at < (int) $count; $at++) {
        [$host, $address, $port, $weight] = explode(' ', trim(fgets(STDIN)));
        $name = $host === '-' ? $address : $host;
        $servers[] = [$name, (int) $port, (int) $weight];
        $index["$name $port"] = $at;
    }
    $client->addServers($servers);
    $picks = [];
    foreach ($keys as $key) {
        $server = $client->getServerByKey($key);
        $picks[] = $server === false ? -1 : $index["{$server['host']} {$server['port']}"];
    }
    echo implode(' ', $picks), "\n";
}
