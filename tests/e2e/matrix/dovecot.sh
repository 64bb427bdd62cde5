# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# dovecot: a letter stored by IMAP and fetched again by curl, ten at once.
commands="dovecot curl"
job() {
    local i pids=()
    mkdir -p -m 777 "$DIR/mail" "$DIR/run"
    chmod 777 "$DIR"
    cat >"$DIR/conf" <<CONF
base_dir = $DIR/run
state_dir = $DIR/run
log_path = $DIR/dovecot.err
protocols = imap
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:$DIR/mail/%u
first_valid_uid = 1
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=mail gid=mail home=$DIR/mail
}
service imap-login {
  inet_listener imap {
    port = $PORT
  }
  inet_listener imaps {
    port = 0
  }
}
CONF
    serve dovecot dovecot -F -c "$DIR/conf"
    wait_port
    { printf 'Subject: big\r\n\r\n'; head -c 2000000 "$FILE" | base64 -w 76 | sed 's/$/\r/'; } >"$DIR/letter"
    client curl -sS "imap://$HOST:$PORT/INBOX" -u "u:p" -T "$DIR/letter"
    for i in {1..10}; do
        client curl -sS "imap://$HOST:$PORT/INBOX;MAILINDEX=1" -u "u:p" -o "$DIR/got$i" &
        pids+=($!)
    done
    wait "${pids[@]}"
    same "ten copies" "$(for i in {1..10}; do hash_of <"$DIR/got$i"; done | sort | uniq -c | tr -s ' ')" " 10 $(hash_of <"$DIR/letter")"
}
