<?php
// PHP's memcached extension (libmemcached) behind the words of loop.py:
//
//     php memcached.php NAME HOST PORT PROTOCOL
//
// NAME is plain, buffered (OPT_BUFFER_WRITES) or ejecting (servers that fail are taken out, as a fleet would be set up).

[, $name, $host, $port, $protocol] = $argv;

function connect(): Memcached
{
    global $name, $host, $port, $protocol;
    $client = new Memcached();
    $special = match ($name) {
        "buffered" => [Memcached::OPT_BUFFER_WRITES => true],
        "ejecting" => [
            Memcached::OPT_LIBKETAMA_COMPATIBLE => true,
            Memcached::OPT_REMOVE_FAILED_SERVERS => true,
            Memcached::OPT_SERVER_FAILURE_LIMIT => 1,
            Memcached::OPT_RETRY_TIMEOUT => 1,
        ],
        default => [],
    };
    // Options are numbers, which the operator ... would count anew.
    $client->setOptions($special + [
        Memcached::OPT_BINARY_PROTOCOL => $protocol === "binary",
        Memcached::OPT_COMPRESSION => false,
        Memcached::OPT_POLL_TIMEOUT => 30000,
    ]);
    $client->addServer($host, (int) $port);
    return $client;
}

// False with a result code that is neither is what PHP has for an exception.
function told(Memcached $client, string $command, array $keys): string
{
    $key = $keys[0] ?? "";
    $result = match ($command) {
        "get" => $client->get($key),
        "multi" => $client->getMulti($keys),
        "cas" => compareAndSet($client, $key),
        "incr" => $client->increment($key),
        "decr" => $client->decrement($key),
        "delete" => $client->delete($key),
        "touch" => $client->touch($key, 100),
        "flush" => $client->flush(),
        default => $client->$command($key, "1"),
    };
    $code = $client->getResultCode();
    if ($command === "multi" && is_array($result)) {
        return "values " . implode(",", array_filter(array_map(fn ($one) => $result[$one] ?? null, $keys), "is_scalar"));
    }
    if ($result === false) {
        $known = [Memcached::RES_NOTFOUND, Memcached::RES_NOTSTORED, Memcached::RES_DATA_EXISTS];
        if (!in_array($code, $known)) {
            return "raised {$code}: " . $client->getResultMessage();
        }
        return $command === "get" ? "miss" : "false";
    }
    return is_bool($result) ? "true" : "value $result";
}

function compareAndSet(Memcached $client, string $key): bool
{
    $found = $client->get($key, null, Memcached::GET_EXTENDED);
    return $found !== false && $client->cas($found["cas"], $key, "1");
}

$client = connect();
$commands = "get,multi,set,add,replace,append,cas,incr,decr,delete,touch,flush";
echo "ready ", phpversion("memcached"), " $commands\n";
while (($line = fgets(STDIN)) !== false) {
    $words = explode(" ", trim($line));
    $command = array_shift($words);
    if ($command === "open") {
        $port = $words[0] ?? $port;
        $client = connect();
        echo "ok\n";
    } else {
        echo told($client, $command, $words), "\n";
    }
}
