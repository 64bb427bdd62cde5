# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# unbound answers over TCP; dnsmasq only as the kernel's server, for it drops what does not come by an interface's address.
commands="unbound dnsmasq dig"
job() {
    printf 'server:\n interface: 0.0.0.0@%s\n access-control: 0.0.0.0/0 allow\n use-syslog: no\n chroot: ""\n username: ""\n directory: "%s"\n pidfile: ""\n do-daemonize: no\n tcp-upstream: yes\n do-not-query-localhost: no\n module-config: "iterator"\n local-data: "h.m. A 10.1.1.1"\n' \
        "$PORT" "$DIR" >"$DIR/unbound"
    serve unbound unbound -d -c "$DIR/unbound"
    [ "$SERVER" != k ] || serve dnsmasq dnsmasq -k -C /dev/null -p $((PORT + 1)) --no-resolv --no-hosts --address=/h.m/10.1.1.2 -u root -8 - -x "$DIR/pid"
    wait_port
    for i in {1..200}; do echo "h.m A"; done >"$DIR/asked"
    same "unbound" "$(client dig +tcp +keepopen +short -p "$PORT" "@$HOST" -f "$DIR/asked" | sort | uniq -c | tr -s ' ')" " 200 10.1.1.1"
    [ "$SERVER" = k ] || return 0
    wait_port $((PORT + 1))
    same "dnsmasq" "$(client dig +tcp +short -p $((PORT + 1)) "@$HOST" -f "$DIR/asked" | sort | uniq -c | tr -s ' ')" " 200 10.1.1.2"
}
