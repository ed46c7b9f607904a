<?php
// What the scripts share: keys of one's own, values, and checks that say what failed.

$namespace = "ringway-" . bin2hex(random_bytes(6));
// Every byte, and what a text protocol could take for its own.
$binary = implode("", array_map("chr", range(0, 255))) . "\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0";
$large = random_bytes(900 * 1024);

function named(string $name): string
{
    global $namespace;
    return "$namespace:$name";
}

function equal(string $what, mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        $shown = fn ($value) => substr(var_export($value, true), 0, 200);
        fwrite(STDERR, "$what: got {$shown($got)}, wanted {$shown($wanted)}\n");
        exit(1);
    }
}

function tried(string ...$steps): void
{
    foreach ($steps as $step) {
        echo "ok $step\n";
    }
}

// Waits until what is read is false.
function vanishes(callable $read): void
{
    $end = microtime(true) + 10;
    while ($read() !== false && microtime(true) < $end) {
        usleep(50000);
    }
    equal("get of what has expired", $read(), false);
}
