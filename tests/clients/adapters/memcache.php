<?php
// PHP's memcache extension, which has the protocol in PHP's own C, behind the words of loop.py:
//
//     php memcache.php NAME HOST PORT PROTOCOL

[, , $host, $port] = $argv;

function connect(): Memcache
{
    global $host, $port;
    $client = new Memcache();
    $client->addServer($host, (int) $port, false, 1, 30);
    return $client;
}

// A failure is a notice and false.
$notice = null;
set_error_handler(function ($level, $text) use (&$notice) {
    $notice = $text;
    return true;
});

function told(Memcache $client, string $command, array $keys): string
{
    global $notice;
    $notice = null;
    $key = $keys[0] ?? "";
    $result = match ($command) {
        "get" => $client->get($key),
        "multi" => $client->get($keys),
        "incr" => $client->increment($key),
        "decr" => $client->decrement($key),
        "delete" => $client->delete($key),
        "flush" => $client->flush(),
        default => $client->$command($key, "1"),
    };
    if ($notice !== null) {
        return "raised notice: " . strtok($notice, "\n");
    }
    if ($command === "multi") {
        return "values " . implode(",", array_filter(array_map(fn ($one) => $result[$one] ?? null, $keys), "is_scalar"));
    }
    if ($result === false) {
        return $command === "get" ? "miss" : "false";
    }
    return is_bool($result) ? "true" : "value $result";
}

$client = connect();
echo "ready ", phpversion("memcache"), " get,multi,set,add,replace,append,incr,decr,delete,flush\n";
while (($line = fgets(STDIN)) !== false) {
    $words = explode(" ", trim($line));
    $command = array_shift($words);
    if ($command === "open") {
        $client->close();
        $port = $words[0] ?? $port;
        $client = connect();
        echo "ok\n";
    } else {
        echo told($client, $command, $words), "\n";
    }
}
