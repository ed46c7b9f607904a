# Perl's Cache::Memcached::Fast, as its manual has it: the text protocol.
#
#     perl with_cache_memcached_fast.pl 127.0.0.1 11211
#
# It prints `version` and the library's, then `ok` and a name for each step that held.
use v5.32;
use warnings;

use Cache::Memcached::Fast;
use FindBin;
use lib $FindBin::Bin;
use Checks;

my $client = Cache::Memcached::Fast->new({
    servers => [server()],
    namespace => namespace(),
    io_timeout => 10,
    connect_timeout => 10,
});
my $binary = every_byte();

version("Cache::Memcached::Fast");
values_come_back();
many();
compare_and_set();
numbers();
conditions();
deletion();
ends();

sub values_come_back {
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
}

sub many {
    my %wanted = map { ("many:$_" => "value $_") } 0 .. 99;
    my $stored = $client->set_multi(map { [$_, $wanted{$_}, 100] } keys %wanted);
    equal("set_multi", scalar(grep { $_ } values %$stored), 100);
    my $found = $client->get_multi(keys %wanted, "nothing");
    equal("as many as were stored", scalar(keys %$found), 100);
    equal("one of many, $_", $found->{$_}, $wanted{$_}) for keys %wanted;
    tried("multi-get");
    $client->delete_multi(keys %wanted);
    equal("get_multi of the deleted", scalar(keys %{ $client->get_multi(keys %wanted) }), 0);
}

sub compare_and_set {
    $client->set("cas", "first");
    my ($token, $value) = @{ $client->gets("cas") };
    equal("gets", $value, "first");
    equal("cas", $client->cas("cas", $token, "second"), 1);
    equal("cas with an old token", $client->cas("cas", $token, "third"), "");
    equal("get after cas", $client->get("cas"), "second");
    tried("cas");
}

sub numbers {
    equal("incr of nothing", $client->incr("number"), "");
    $client->set("number", 10);
    equal("incr", $client->incr("number", 32), 42);
    equal("decr", $client->decr("number", 2), 40);
    # A 0 that counts as true.
    equal("decr stops at 0", $client->decr("number", 100), "0E0");
    tried("incr", "decr");
}

sub conditions {
    equal("replace of nothing", $client->replace("condition", "a"), "");
    equal("append to nothing", $client->append("condition", "a"), "");
    equal("add", $client->add("condition", "b"), 1);
    equal("add again", $client->add("condition", "c"), "");
    equal("replace", $client->replace("condition", "d"), 1);
    equal("append", $client->append("condition", "e"), 1);
    equal("prepend", $client->prepend("condition", "c"), 1);
    equal("after all", $client->get("condition"), "cde");
    # In void context the module asks for no reply.
    $client->set("quiet:$_", "v") for 1 .. 50;
    equal("get after noreply sets", scalar(keys %{ $client->get_multi(map { "quiet:$_" } 1 .. 50) }), 50);
    tried("add", "replace", "append", "noreply");
}

sub deletion {
    $client->set("deleted", "v");
    equal("delete", $client->delete("deleted"), 1);
    equal("get of the deleted", $client->get("deleted"), undef);
    equal("delete of nothing", $client->delete("deleted"), "");
    tried("delete");
}

# Keys that end after a second, that are told to, and that were to end and are told to stay.
sub ends {
    $client->set("stays", "v", 3);
    $client->set("gone", "v", 1);
    $client->set("shortened", "v", 100);
    equal("touch to stay", $client->touch("stays", 100), 1);
    equal("touch to end", $client->touch("shortened", 1), 1);
    equal("touch of nothing", $client->touch("nothing", 100), "");
    $client->set("last", "v", 3);
    vanishes("gone");
    tried("expire");
    vanishes("shortened");
    vanishes("last");
    equal("get of what was touched to stay", $client->get("stays"), "v");
    tried("touch");
}

sub vanishes {
    my ($name) = @_;
    becomes_undef("get of $name", sub { $client->get($name) });
}
