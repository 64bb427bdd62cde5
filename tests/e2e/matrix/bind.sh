# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# named and dig, both over TCP: 2000 questions over one connection, a zone of 5000 names transferred.
# named listens at each address that an interface has, and no interface has xtcp's: only as the kernel's server.
commands="named dig"
rounds="kk xk"
job() {
    mkdir -p "$DIR/n"
    {
        printf '$TTL 60\n@ SOA ns a 1 60 60 60 60\n NS ns\nns A 10.0.0.1\n'
        for i in {1..5000}; do echo "h$i A 10.1.$((i / 256)).$((i % 256))"; done
    } >"$DIR/zone"
    cat >"$DIR/conf" <<CONF
options { directory "$DIR/n"; listen-on port $PORT { any; }; listen-on-v6 { none; }; pid-file none; recursion no;
    allow-transfer { any; }; session-keyfile none; dnssec-validation no; tcp-clients 50; };
controls { };
zone "m" { type primary; file "$DIR/zone"; };
CONF
    serve named named -g -u root -c "$DIR/conf"
    wait_port
    same "a transfer" "$(client dig +tcp +noall +answer -p "$PORT" "@$HOST" m axfr | grep -c '^h[0-9]*\.m')" 5000
    for i in {1..2000}; do echo "h$i.m A"; done >"$DIR/asked"
    same "questions" "$(client dig +tcp +keepopen +short -p "$PORT" "@$HOST" -f "$DIR/asked" | sort -u | wc -l)" 2000
}
