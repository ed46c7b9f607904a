<?php
// php-memcached: SASL over libmemcached. HOST PORT USER PASSWORD.
[, $host, $port, $user, $password] = $argv;

function client($host, $port, $user, $password) {
    $client = new Memcached();
    $client->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
    $client->setSaslAuthData($user, $password);
    $client->addServer($host, (int) $port);
    return $client;
}

$good = client($host, $port, $user, $password);
$bad = client($host, $port, $user, "wrong");
exit($good->set("php", "value") && $good->get("php") === "value" && $bad->get("php") === false ? 0 : 1);
