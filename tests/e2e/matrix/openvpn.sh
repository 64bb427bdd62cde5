# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# openvpn over TCP: a file through the tunnel, whose ends speak the kernel's TCP.
commands="openvpn socat"
rounds="kk xk kx xy" # the ends of a tunnel cannot be on one host
prepare() { [ -c /dev/net/tun ] || { echo "SKIP: no /dev/net/tun"; return 77; }; }
up() { [ "$(grep -c 'Initialization Sequence Completed' "$DIR"/vpn*.log | grep -c ':1$')" -eq 2 ]; }
job() {
    openvpn --genkey secret "$DIR/key"
    local common=(--dev tun9 --secret "$DIR/key" --cipher AES-256-CBC --verb 3)
    serve vpn openvpn --proto tcp-server --lport "$PORT" --ifconfig 10.99.0.1 10.99.0.2 "${common[@]}"
    wait_port
    client_bg vpn2 openvpn --proto tcp-client --remote "$HOST" "$PORT" --ifconfig 10.99.0.2 10.99.0.1 "${common[@]}"
    xt_wait_for 30 up || { cat "$DIR"/vpn*.log; return 1; }
    xt_spawn "$(side_of_server)" "$DIR/inner.log" socat -u "FILE:$FILE" "TCP-LISTEN:$PORT,bind=10.99.0.1"
    xt_wait_for 30 inner_listens
    same "a file" "$(xt_in "$(side_of_client)" timeout 60 socat -u "TCP:10.99.0.1:$PORT" - | hash_of)" "$WANT"
}
inner_listens() { [ -n "$(xt_in "$(side_of_server)" ss -Hltn "src 10.99.0.1")" ]; }
