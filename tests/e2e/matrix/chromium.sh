# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# chromium without a window: a page whose script fetches a file six times at once and adds it up.
commands="chromium nginx /usr/bin/python3"
limit=240
job() {
    local sum
    web nginx
    cat >"$WORK/www/page.html" <<'HTML'
<pre id=o></pre><script>
Promise.all([1, 2, 3, 4, 5, 6].map(i => fetch('/file?' + i).then(r => r.arrayBuffer()))).then(all => {
    o.textContent = all.map(b => { let s = 0; for (const x of new Uint8Array(b)) s = (s * 31 + x) >>> 0; return b.byteLength + ':' + s; }).join(' ');
});
</script>
HTML
    chmod a+r "$WORK/www/page.html"
    sum=$(/usr/bin/python3 - "$FILE" <<'PY'
import sys
data, s = open(sys.argv[1], "rb").read(), 0
for x in data:
    s = (s * 31 + x) & 0xFFFFFFFF
print(" ".join([f"{len(data)}:{s}"] * 6))
PY
    )
    same "what was fetched" "$(client env HOME="$DIR" chromium --headless --no-sandbox --disable-gpu --user-data-dir="$DIR/profile" \
        --virtual-time-budget=60000 --dump-dom "http://$HOST:$PORT/page.html" 2>"$DIR/said" | grep -o '<pre id="o">[^<]*' | cut -d '>' -f 2)" "$sum"
}
