# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# vsftpd, whose processes live in a chroot without a network of their own: lftp, ftp and curl, passive and active, four parts at once.
commands="vsftpd lftp tnftp curl"
job() {
    local url=ftp://$HOST:$PORT/
    mkdir -p "$DIR/empty" "$WORK/www/in"
    chmod 777 "$WORK/www/in"
    cat >"$DIR/conf" <<CONF
listen=YES
listen_port=$PORT
background=NO
anonymous_enable=YES
anon_root=$WORK/www
anon_upload_enable=YES
write_enable=YES
chown_uploads=NO
secure_chroot_dir=$DIR/empty
xferlog_enable=YES
vsftpd_log_file=$DIR/log
CONF
    serve vsftpd vsftpd "$DIR/conf"
    wait_port
    same "curl" "$(client curl -sS --fail "${url}file" | hash_of)" "$WANT"
    client curl -sS --fail -T "$FILE" "${url}in/curl$PORT"
    same "curl, up" "$(hash_of <"$WORK/www/in/curl$PORT")" "$WANT"
    client lftp -c "set net:max-retries 1; set xfer:clobber on; open $url; pget -n 4 file -o $DIR/parts; put $FILE -o in/lftp$PORT"
    same "lftp, four parts" "$(hash_of <"$DIR/parts")" "$WANT"
    same "lftp, up" "$(hash_of <"$WORK/www/in/lftp$PORT")" "$WANT"
    client lftp -c "set net:max-retries 1; set ftp:passive-mode off; open $url; get file -o $DIR/active"
    same "lftp, active" "$(hash_of <"$DIR/active")" "$WANT"
    client tnftp -o "$DIR/ftp" "${url}file"
    same "ftp" "$(hash_of <"$DIR/ftp")" "$WANT"
}
