# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# perl: a server that forks for each connection, one with select; IO::Socket and HTTP::Tiny as clients.
commands="perl nginx"
job() {
    serve fork perl "$MATRIX/perl.pl" fork "$PORT" "$FILE"
    serve select perl "$MATRIX/perl.pl" select $((PORT + 1)) "$FILE"
    wait_port && wait_port $((PORT + 1))
    local p
    for p in $PORT $((PORT + 1)); do
        same "port $p" "$(client perl "$MATRIX/perl.pl" get "$HOST" "$p" | hash_of)" "$WANT"
    done
    PORT=$((PORT + 2))
    web nginx
    same "HTTP::Tiny" "$(client perl -MHTTP::Tiny -e 'my $r = HTTP::Tiny->new->get($ARGV[0]); die $r->{reason} unless $r->{success}; print $r->{content}' \
        "http://$HOST:$PORT/file" | hash_of)" "$WANT"
}
