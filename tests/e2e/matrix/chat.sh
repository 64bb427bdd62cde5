# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# ngircd and prosody: one talks, another hears it all, in order.
commands="ngircd prosody"
job() {
    cat >"$DIR/ngircd.conf" <<CONF
[Global]
Name = irc.test
Info = x
Listen = 0.0.0.0
Ports = $PORT
ServerUID = nobody
ServerGID = nogroup
[Limits]
MaxConnectionsIP = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
OperCanUseMode = no
CONF
    chmod 644 "$DIR/ngircd.conf"
    serve ngircd ngircd -n -f "$DIR/ngircd.conf"
    wait_port
    client /usr/bin/python3 "$MATRIX/chat.py" irc "$HOST" "$PORT" "$(amount 400)" || { cat "$DIR/ngircd.log"; return 1; }
    PORT=$((PORT + 1))
    install -d -o prosody -m 755 "$DIR/data"
    cat >"$DIR/prosody.lua" <<CONF
data_path = "$DIR/data"; pidfile = "$DIR/data/pid"; run_as_root = true; daemonize = false
interfaces = { "0.0.0.0" }; c2s_ports = { $PORT }; s2s_ports = {}; c2s_require_encryption = false
modules_enabled = { "saslauth" }; modules_disabled = { "s2s", "tls" }; log = { info = "*console" }; limits = {}
VirtualHost "m.test"
authentication = "anonymous"; allow_unencrypted_plain_auth = true
CONF
    serve prosody prosody -F --config "$DIR/prosody.lua"
    wait_port
    client /usr/bin/python3 "$MATRIX/chat.py" xmpp "$HOST" "$PORT" "$(amount 400)" || { cat "$DIR/prosody.log"; return 1; }
}
