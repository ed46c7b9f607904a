# Perl's Cache::Memcached and Cache::Memcached::Fast behind the words of loop.py:
#
#     perl perl_clients.pl MODULE HOST PORT PROTOCOL
use v5.32;
use warnings;

$| = 1;
my ($module, $host, $port) = @ARGV;
eval "require $module; 1" or die $@;
my $is_fast = $module eq "Cache::Memcached::Fast";

sub connected {
    my %patience = $is_fast ? (io_timeout => 30, connect_timeout => 30) : (select_timeout => 30);
    return $module->new({ servers => ["$host:$port"], %patience });
}

# Undef is an error, and what is defined and false is the answer no.
sub told {
    my ($client, $command, @keys) = @_;
    if ($command eq "multi") {
        my $found = $client->get_multi(@keys);
        return "values " . join(",", grep { defined } map { $found->{$_} } @keys);
    }
    if ($command eq "get") {
        my $value = $client->get($keys[0]);
        return defined $value ? "value $value" : "miss";
    }
    my $result = compare_or_call($client, $command, $keys[0]);
    return "value $result" if $command =~ /^(in|de)cr$/ && $result;
    return $result ? "true" : "false" if defined $result && $result ne "";
    return $is_fast && !defined $result ? "raised undef: no answer" : "false";
}

sub compare_or_call {
    my ($client, $command, $key) = @_;
    return $client->flush_all if $command eq "flush";
    return $client->cas($key, $client->gets($key)->[0], "1") if $command eq "cas";
    return $client->touch($key, 100) if $command eq "touch";
    return $client->$command($key) if $command =~ /^(incr|decr|delete)$/;
    return $client->$command($key, "1");
}

my $client = connected();
my @commands = (qw(get multi set add replace append incr decr delete), $is_fast ? qw(cas touch flush) : "flush");
no strict "refs";
say "ready ${$module . '::VERSION'} ", join(",", @commands);
while (my $line = <STDIN>) {
    my ($command, @keys) = split " ", $line;
    if ($command eq "open") {
        $client->disconnect_all;
        $port = $keys[0] // $port;
        $client = connected();
        say "ok";
        next;
    }
    say eval { told($client, $command, @keys) } // "raised die: " . ($@ =~ s/ at \S+ line .*//sr);
}
