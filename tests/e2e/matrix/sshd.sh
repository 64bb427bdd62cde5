# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# sshd with its pre-authentication child, ssh, scp, sftp, a forwarded port.
commands="sshd ssh scp ssh-keygen"
job() {
    local opts
    ssh-keygen -q -t ed25519 -N '' -f "$DIR/hostkey"
    ssh-keygen -q -t ed25519 -N '' -f "$DIR/key"
    cp "$DIR/key.pub" "$DIR/authorized"
    cat >"$DIR/conf" <<CONF
Port $PORT
HostKey $DIR/hostkey
AuthorizedKeysFile $DIR/authorized
PidFile $DIR/pid
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
Subsystem sftp internal-sftp
CONF
    serve_root sshd /usr/sbin/sshd -D -e -f "$DIR/conf"
    wait_port
    opts=(-F none -i "$DIR/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile="$DIR/known" -o LogLevel=ERROR -o BatchMode=yes
        -o KexAlgorithms=curve25519-sha256) # the default makes up a third of the job's processor time
    same "a command" "$(client ssh -p "$PORT" "${opts[@]}" root@"$HOST" 'echo hello; id -u')" $'hello\n0'
    local rc=0
    client ssh -p "$PORT" "${opts[@]}" root@"$HOST" 'exit 42' || rc=$?
    same "its exit status" $rc 42
    same "a file through a pipe" "$(client ssh -p "$PORT" "${opts[@]}" root@"$HOST" sha256sum <"$FILE")" "$WANT  -"
    same "a terminal" "$(client ssh -tt -p "$PORT" "${opts[@]}" root@"$HOST" 'test -t 0 && echo tty' </dev/null | tr -d '\r')" tty
    client scp -q -P "$PORT" "${opts[@]}" "$FILE" root@"$HOST":"$DIR/up"
    same "scp to" "$(hash_of <"$DIR/up")" "$WANT"
    client scp -q -P "$PORT" "${opts[@]}" root@"$HOST":"$DIR/up" "$DIR/down"
    same "scp from" "$(hash_of <"$DIR/down")" "$WANT"
    client scp -q -O -P "$PORT" "${opts[@]}" root@"$HOST":"$DIR/up" "$DIR/down2"
    same "scp from, old protocol" "$(hash_of <"$DIR/down2")" "$WANT"
    # Eight at once.
    local i pids=()
    for i in 1 2 3 4 5 6 7 8; do
        client ssh -p "$PORT" "${opts[@]}" root@"$HOST" 'echo $((6 * 7))' >"$DIR/many.$i" &
        pids+=($!)
    done
    wait "${pids[@]}"
    same "eight at once" "$(cat "$DIR"/many.* | sort | uniq -c | tr -s ' ')" " 8 42"
    kill -TERM "$SERVE_PID"
    xt_wait_for 30 xt_gone "$SERVE_PID"
}
