# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Test suites of others, on the kernel's TCP and on xtcp's: what passes there has to pass here. Sourced by jobs of
# tests/e2e/matrix/, which have one round (rounds=xx) and whose
#   suite SIDE RESULTS    runs the suite with on_loopback SIDE, in a folder of its own, and writes a line "PASS|FAIL|SKIP NAME"
#                         for each test (the last one counts); if the file RESULTS.only exists, only the tests named there
# and which call
#   compare LEAST         runs it on both; on xtcp it must have made LEAST connections. A test that fails on xtcp only gets two
#                         more tries by itself, for suites have tests that need luck; NAME.except lists, with a reason each,
#                         tests that may fail.
#   debian_source NAME    the source of a Debian package, unpacked in $WORK/NAME; or 77 and why not

# k|x COMMAND...: 127.0.0.1 is the kernel's address or xtcp's, to sockets of TCP.
on_loopback() {
    local shim=$PLAIN/tests/e2e/libloopback.so side=$1
    shift
    if [ "$side" = x ]; then
        in_x env XTCP_SOCKET="$WORK/xtcpd.sock" XT_LOOPBACK="$ADDR_X" LD_PRELOAD="$shim:$PRELOAD" "$@"
    else
        in_k env XT_LOOPBACK="$ADDR_K" LD_PRELOAD="$shim" "$@"
    fi
}

connections() { ctl stats --all | awk '$1 == "tcp.active_opens" { print $2 }'; }

# A folder of its own for a run of the suite, which any user may write to.
run_suite() { # k|x RESULTS
    local folder
    folder=$(mktemp -d "$DIR/run-$1.XXXXXX") && chmod 777 "$folder"
    (cd "$folder" && TMPDIR=$folder suite "$1" "$2") >"$2.log" 2>&1 || :
}

# Tests that pass on the kernel's TCP and have another result in $1 or none.
worse_than_kernel() {
    awk 'NR == FNR { kernel[$2] = $1; next } { xtcp[$2] = $1 }
        END { for (t in kernel) if (kernel[t] == "PASS" && xtcp[t] != "PASS") print t }' "$DIR/kernel" "$1" | sort
}
passed() { awk '{ last[$2] = $1 } END { for (t in last) n += last[t] == "PASS"; print n + 0 }' "$1"; }

try_again() { # the tests of $DIR/worse, alone; those that pass now leave that list
    cp "$DIR/worse" "$DIR/again.only"
    run_suite x "$DIR/again"
    cat "$DIR/again" >>"$DIR/xtcp"
    cat "$DIR/again.log" >>"$DIR/xtcp.log"
    worse_than_kernel "$DIR/xtcp" >"$DIR/worse"
}

compare() {
    local before made kernel n excepted=0 first
    before=$(connections)
    touch "$DIR/kernel" "$DIR/xtcp"
    run_suite k "$DIR/kernel" &
    run_suite x "$DIR/xtcp"
    wait $!
    made=$(($(connections) - before))
    worse_than_kernel "$DIR/xtcp" >"$DIR/worse"
    if [ -e "$MATRIX/$program.except" ]; then
        sed 's/ .*//; /^#/d' "$MATRIX/$program.except" | sort >"$DIR/except"
        excepted=$(comm -12 "$DIR/worse" "$DIR/except" | wc -l)
        sed -i 's/^.*$/SKIP &/' "$DIR/except"
        awk 'NR == FNR { skip[$2] = 1; next } !skip[$1]' "$DIR/except" "$DIR/worse" >"$DIR/rest"
        mv "$DIR/rest" "$DIR/worse"
        awk 'NR == FNR { skip[$2] = 1; next } !skip[$2]' "$DIR/except" "$DIR/kernel" >"$DIR/rest"
        mv "$DIR/rest" "$DIR/kernel"
    fi
    first=$(wc -l <"$DIR/worse")
    for n in 1 2; do
        [ ! -s "$DIR/worse" ] || try_again
    done
    kernel=$(passed "$DIR/kernel")
    note "$kernel tests pass on the kernel's TCP, $(wc -l <"$DIR/worse") of them not on xtcp, $excepted excepted," \
        "$((first - $(wc -l <"$DIR/worse"))) at another try; $made connections on xtcp"
    if [ -s "$DIR/worse" ] || [ "$kernel" -eq 0 ]; then
        tail -n 40 "$DIR/xtcp.log"
        echo "tests that pass on the kernel's TCP only:"
        cat "$DIR/worse"
        return 1
    fi
    [ "$made" -ge "$1" ] || { echo "only $made connections were made on xtcp"; return 1; }
}

# The same package source list as the machine's own, for sources.
debian_source() {
    local name=$1 apt=$WORK/apt tar keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$apt/lists/partial" "$apt/parts" "$apt/$name" "$WORK/$name"
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        awk -v keys="$keys" '$4 == "Debian" { print "deb-src [signed-by=" keys "]", $1, $2, $3 }' | sort -u >"$apt/sources.list"
    local options=(-qq -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/parts"
        -o Dir::State::lists="$apt/lists" -o APT::Sandbox::User=root)
    if ! { apt-get "${options[@]}" update && source_of_some_release; } >"$apt/log" 2>&1; then
        echo "SKIP: the source of $name can't be had: $(grep -m 1 '^[EW]:' "$apt/log")"
        return 77
    fi
    for tar in "$apt/$name"/*.orig.tar.*; do tar -C "$WORK/$name" --strip-components=1 -xf "$tar" || return 1; done
}

# The newest version may be of a mirror that has no sources: then an older one will do.
source_of_some_release() {
    local version
    cd "$apt/$name" || return
    for version in $(apt-cache "${options[@]:1}" showsrc "$name" | sed -n 's/^Version: //p' | sort -Vru); do
        apt-get "${options[@]}" source --download-only --tar-only "$name=$version" && return
    done
    return 1
}
