# What the scripts share: where the cache is, keys of one's own, values, and checks that say what failed.
package Checks;
use v5.32;
use warnings;

use Exporter "import";
use Time::HiRes qw(sleep time);

our @EXPORT = qw(server namespace every_byte random_bytes version equal tried becomes_undef);

$| = 1;
my $library;

# HOST:PORT from the command line.
sub server {
    return join(":", @ARGV[0, 1]);
}

# What no other run puts before its keys.
sub namespace {
    return sprintf("ringway-%d-%d:", $$, time * 1000);
}

# Every byte, and what a text protocol could take for its own.
sub every_byte {
    return join("", map { chr } 0 .. 255) . "\r\nEND\r\nVALUE x 0 1\r\nSERVER_ERROR\r\n\0";
}

sub random_bytes {
    my ($length) = @_;
    open my $source, "<:raw", "/dev/urandom" or die "/dev/urandom: $!";
    read($source, my $bytes, $length) == $length or die "/dev/urandom: $!";
    return $bytes;
}

# Says which version of the library this is.
sub version {
    ($library) = @_;
    say "version ", $library->VERSION;
}

# Ends the script unless `$got` is `$wanted`.
sub equal {
    my ($what, $got, $wanted) = @_;
    return if defined $got ? defined $wanted && $got eq $wanted : !defined $wanted;
    my @shown = map { defined ? substr($_, 0, 200) : "nothing" } $got, $wanted;
    say STDERR "$library: $what: got $shown[0], wanted $shown[1]";
    exit 1;
}

# Says that these steps held.
sub tried {
    say "ok $_" for @_;
}

# Looks again and again until `$look` finds nothing; ends the script after ten seconds.
sub becomes_undef {
    my ($what, $look) = @_;
    my $end = time + 10;
    sleep 0.05 while defined $look->() && time < $end;
    equal($what, $look->(), undef);
}

1;
