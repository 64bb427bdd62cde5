# SPDX-License-Identifier: Apache-2.0
# perl.pl fork|select PORT FILE     a server that reads a line and answers with the file
# perl.pl get HOST PORT             a client of it
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;

my ($mode, @arg) = @ARGV;

if ($mode eq 'get') {
    my $s = IO::Socket::INET->new(PeerAddr => $arg[0], PeerPort => $arg[1], Timeout => 20) or die "connect: $@";
    print $s "give\n";
    shutdown $s, 1 or die $!;
    print while read $s, $_, 65536;
    exit 0;
}

my $l = IO::Socket::INET->new(LocalPort => $arg[0], Listen => 32, ReuseAddr => 1) or die "listen: $@";
open my $f, '<:raw', $arg[1] or die $!;
my $data = do { local $/; <$f> };

sub answer {
    my ($c) = @_;
    die 'no line' unless <$c> eq "give\n";
    print $c $data or die $!;
    close $c or die $!;
}

if ($mode eq 'fork') {
    $SIG{CHLD} = 'IGNORE';
    while (my $c = $l->accept) {
        defined(my $pid = fork) or die $!;
        if ($pid == 0) {
            close $l;
            answer($c);
            exit 0;
        }
        close $c;
    }
}
my $set = IO::Select->new($l);
while (my @ready = $set->can_read) {
    for my $s (@ready) {
        if ($s == $l) {
            $set->add(scalar $l->accept);
        } else {
            $set->remove($s);
            answer($s);
        }
    }
}
