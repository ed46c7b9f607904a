#!/usr/bin/env bash
# In a fresh Debian: unpacks the archive, installs the program, tries it and watches its demo.
set -euo pipefail
. ./steps.sh

begun=$EPOCHREALTIME
(cd dist && sha256sum --quiet --check --ignore-missing SHA256SUMS)
tar -xzf "dist/$1"
folder=${1%.tar.gz}
install "$folder/ringway" /usr/local/bin/
ringway >log 2>&1 &
server=$!
wait_until ringway health
first_key
took "archive" time

kill "$server"
wait "$server" || fail "it ended with $?: $(cat log)"
ringway --version | grep '^build: release, .*, static$' || fail "what the program says of itself: $(ringway --version)"
ringway check "$folder/config/minimal.yaml"
for file in man/ringway.1 man/ringway.yaml.5 completions/ringway.bash systemd/ringway.service LICENSE CHANGELOG.md; do
    [ -s "$folder/$file" ] || fail "no $file in the archive"
done

# Static: it runs where nothing else is.
mkdir empty
cp "$folder/ringway" empty
chroot empty /ringway check - <"$folder/config/minimal.yaml"

ringway demo --every 6 --seconds 8 >demo.log || fail "the demo: $(cat demo.log)"
grep 'cache-1 is killed' demo.log
grep 'cache-1 is revived' demo.log
