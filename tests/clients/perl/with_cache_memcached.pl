# Perl's Cache::Memcached, as its manual has it: the text protocol.
#
#     perl with_cache_memcached.pl 127.0.0.1 11211
#
# It prints `version` and the library's, then `ok` and a name for each step that held.
use v5.32;
use warnings;

use Cache::Memcached;
use Time::HiRes qw(sleep time);

$| = 1;
my ($host, $port) = @ARGV;
my $client = Cache::Memcached->new({
    servers => ["$host:$port"],
    namespace => sprintf("ringway-%d-%d:", $$, time * 1000),
    select_timeout => 10,
});
# Every byte, and what a text protocol could take for its own.
my $binary = join("", map { chr } 0 .. 255) . "\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0";
my $large = "0123456789" x 92160;

say "version $Cache::Memcached::VERSION";
equal("set", $client->set("text", "some text", 100), 1);
equal("get", $client->get("text"), "some text");
equal("get of nothing", $client->get("nothing"), undef);
tried("set", "get");
$client->set("bytes", $binary);
equal("get of every byte", $client->get("bytes"), $binary);
tried("binary-safe");
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
my $end = time + 10;
sleep 0.05 while defined $client->get("gone") && time < $end;
equal("get of what has expired", $client->get("gone"), undef);
tried("expire");
equal("flush_all", $client->flush_all, 1);
equal("get after flush_all", $client->get("text"), undef);
tried("flush");

sub equal {
    my ($what, $got, $wanted) = @_;
    return if defined $got ? defined $wanted && $got eq $wanted : !defined $wanted;
    my @shown = map { defined ? substr($_, 0, 200) : "nothing" } $got, $wanted;
    say STDERR "Cache::Memcached: $what: got $shown[0], wanted $shown[1]";
    exit 1;
}

sub tried {
    say "ok $_" for @_;
}
