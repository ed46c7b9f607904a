# Perl's Cache::Memcached, as its manual has it: the text protocol.
#
#     perl with_cache_memcached.pl 127.0.0.1 11211
#
# It prints `version` and the library's, then `ok` and a name for each step that held.
use v5.32;
use warnings;

use Cache::Memcached;
use FindBin;
use lib $FindBin::Bin;
use Checks;

my $client = Cache::Memcached->new({
    servers => [server()],
    namespace => namespace(),
    select_timeout => 10,
});
my $binary = every_byte();

version("Cache::Memcached");
equal("set", $client->set("text", "some text", 100), 1);
equal("get", $client->get("text"), "some text");
equal("get of nothing", $client->get("nothing"), undef);
tried("set", "get");
$client->set("bytes", $binary);
equal("get of every byte", $client->get("bytes"), $binary);
tried("binary-safe");
my $large = random_bytes(900 * 1024);
equal("set of 900 KB", $client->set("large", $large), 1);
equal("get of 900 KB", $client->get("large"), $large);
tried("900 KB");
$client->set("typed", { a => [1, 2], b => "c" });
equal("get of what was serialized", join(",", @{ $client->get("typed")->{a} }), "1,2");
tried("serialized");

my %wanted = map { ("many:$_" => "value $_") } 0 .. 99;
$client->set($_, $wanted{$_}) for keys %wanted;
my $found = $client->get_multi(keys %wanted, "nothing");
equal("as many as were stored", scalar(keys %$found), 100);
equal("one of many, $_", $found->{$_}, $wanted{$_}) for keys %wanted;
tried("multi-get");

$client->set("number", 10);
equal("incr", $client->incr("number", 32), 42);
equal("decr", $client->decr("number", 2), 40);
tried("incr", "decr");
equal("replace of nothing", $client->replace("condition", "a"), "");
equal("add", $client->add("condition", "b"), 1);
equal("add again", $client->add("condition", "c"), "");
equal("replace", $client->replace("condition", "d"), 1);
equal("append", $client->append("condition", "e"), 1);
equal("prepend", $client->prepend("condition", "c"), 1);
equal("after all", $client->get("condition"), "cde");
tried("add", "replace", "append");
equal("delete", $client->delete("condition"), 1);
equal("get of the deleted", $client->get("condition"), undef);
tried("delete");
$client->set("gone", "v", 1);
becomes_undef("get of what has expired", sub { $client->get("gone") });
tried("expire");
equal("flush_all", $client->flush_all, 1);
equal("get after flush_all", $client->get("text"), undef);
tried("flush");
