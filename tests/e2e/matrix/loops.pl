# SPDX-License-Identifier: Apache-2.0
# loops.pl anyevent|poe|prefork serve PORT | loops.pl KIND ask HOST PORT FILE: a server that returns what it is sent, and a client that
# says the hash of what came back.
use strict;
use warnings;
use Digest::SHA;

sub slurp { local (@ARGV, $/) = @_; scalar <> }

sub anyevent_serve {
    my ($port) = @_;
    require EV; require AnyEvent; require AnyEvent::Handle; require AnyEvent::Socket;
    my %open;
    AnyEvent::Socket::tcp_server('0.0.0.0', $port, sub {
        my $h = AnyEvent::Handle->new(fh => shift, on_error => sub { delete $open{shift()} });
        $open{$h} = $h;
        $h->on_read(sub { $_[0]->push_write(delete $_[0]{rbuf}) });
        $h->on_eof(sub { shift->on_drain(sub { my ($done) = @_; delete $open{$done}; $done->destroy }) });
    });
    EV::run();
}

sub anyevent_ask {
    my ($host, $port, $file) = @_;
    require EV; require AnyEvent; require AnyEvent::Handle;
    my ($done, $sha) = (AnyEvent->condvar, Digest::SHA->new(256));
    my $h = AnyEvent::Handle->new(connect => [$host, $port], on_error => sub { $done->croak($_[2]) }, on_eof => sub { $done->send });
    $h->on_read(sub { $sha->add(delete $_[0]{rbuf}) });
    $h->push_write(slurp($file));
    $h->push_shutdown;
    $done->recv;
    print $sha->hexdigest, "\n";
}

sub poe_serve {
    my ($port) = @_;
    require POE; POE->import; require POE::Component::Server::TCP; require POE::Filter::Stream;
    POE::Component::Server::TCP->new(Address => '0.0.0.0', Port => $port, ClientFilter => 'POE::Filter::Stream',
        ClientInput => sub { $_[POE::Session::HEAP()]{client}->put($_[POE::Session::ARG0()]) });
    POE::Kernel->run;
}

{
    package Echo;
    sub process_request {
        my $data;
        while (my $n = sysread STDIN, $data, 65536) {
            for (my $at = 0; $at < $n;) { $at += syswrite(STDOUT, $data, $n - $at, $at) // return }
        }
    }
}

sub prefork_serve {
    my ($port) = @_;
    require Net::Server::PreFork;
    @Echo::ISA = ('Net::Server::PreFork');
    Echo->run(host => '0.0.0.0', port => "$port/tcp", ipv => 4, min_servers => 3, max_servers => 5, max_requests => 2, log_level => 1);
}

# A process that sends and one that receives.
sub plain_ask {
    my ($host, $port, $file) = @_;
    require IO::Socket::IP;
    my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Timeout => 60) or die $@;
    my $pid = fork // die $!;
    if (!$pid) {
        print $s slurp($file);
        $s->flush;
        $s->shutdown(1);
        exit 0;
    }
    print Digest::SHA->new(256)->addfile($s)->hexdigest, "\n";
    waitpid $pid, 0;
}

# What POE's server says before the end of what it is sent; it drops what it still has to say then.
sub poe_ask {
    my ($host, $port, $file) = @_;
    require IO::Socket::INET;
    my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) or die $@;
    my ($data, $got, $buf) = (slurp($file), '', '');
    my $pid = fork // die $!;
    if (!$pid) { print $s $data; $s->flush; exit 0 }
    while (length $got < length $data) { sysread $s, $buf, 65536 or last; $got .= $buf }
    waitpid $pid, 0;
    print Digest::SHA::sha256_hex($got), "\n";
}

my ($kind, $what, @rest) = @ARGV;
my %asks = (anyevent => \&anyevent_ask, poe => \&poe_ask, prefork => \&plain_ask);
my %serves = (anyevent => \&anyevent_serve, poe => \&poe_serve, prefork => \&prefork_serve);
$| = 1;
($what eq 'serve' ? $serves{$kind} : $asks{$kind})->(@rest);
