# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# slapd with ldapadd and ldapsearch: 1000 entries there and back.
commands="slapd ldapadd ldapsearch"
job() {
    mkdir -p "$DIR/db"
    cat >"$DIR/conf" <<CONF
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $DIR/pid
database mdb
maxsize 67108864
suffix "dc=m"
rootdn "cn=root,dc=m"
rootpw secret
directory $DIR/db
sizelimit unlimited
dbnosync
CONF
    serve slapd slapd -d 0 -f "$DIR/conf" -h "ldap://0.0.0.0:$PORT"
    wait_port
    {
        printf 'dn: dc=m\nobjectClass: dcObject\nobjectClass: organization\no: m\ndc: m\n\n'
        for i in {1..1000}; do printf 'dn: cn=p%s,dc=m\nobjectClass: person\ncn: p%s\nsn: s%s\n\n' "$i" "$i" "$i"; done
    } >"$DIR/ldif"
    client ldapadd -x -H "ldap://$HOST:$PORT" -D cn=root,dc=m -w secret -f "$DIR/ldif" >/dev/null
    same "entries" "$(client ldapsearch -x -LLL -H "ldap://$HOST:$PORT" -b dc=m '(objectClass=person)' sn | grep -c '^sn: s')" 1000
}
