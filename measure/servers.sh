#!/usr/bin/env bash
# Compares what pgk knows of PostgreSQL's parameters with the servers themselves, 17 and 18, of the ARCHIVE of an image
# (as OCI lays it out) that has both, of Debian's packages: measure/servers.sh ARCHIVE. It takes root.
set -euo pipefail
archive=$(realpath "$1")
folder=$(mktemp --directory --tmpdir pgk-servers.XXXXXX)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"

root=$folder/root
mkdir "$root"
blob() { tar --extract --to-stdout --file "$archive" "$1"; }
# named KEY: the blobs that KEY of this manifest lists
named() {
	python3 -c '
import json, sys
listed = json.load(sys.stdin)[sys.argv[1]]
print(*("blobs/" + each["digest"].replace(":", "/") for each in listed), sep="\n")' "$1"
}
blob "$(blob index.json | named manifests)" | named layers >"$folder/layers"
while read -r layer; do
	blob "$layer" >"$folder/layer"
	tar --extract --file "$folder/layer" --directory "$root" --exclude 'dev/*'
done <"$folder/layers"

# Each program runs in the image's files, as a user whom PostgreSQL does not refuse; what the test writes is where it is
# outside.
for version in 17 18; do
	bin=usr/lib/postgresql/$version/bin
	[ -x "$root/$bin/postgres" ] || { echo "the image has no PostgreSQL $version" >&2; exit 1; }
	mkdir "$folder/$version"
	for name in initdb postgres psql pg_config pg_ctl; do
		cat >"$folder/$version/$name" <<-END
			#!/bin/sh
			exec unshare --mount sh -c 'mount --bind /tmp $root/tmp && mount --bind /dev $root/dev &&
			    exec chroot --userspec=999:999 $root /$bin/$name "\$@"' $name "\$@"
		END
		chmod 755 "$folder/$version/$name"
	done
	export "PGK_POSTGRES_$version=$folder/$version" "PGK_POSTGRES_${version}_ROOT=$root"
done
# What the test says of a version is a figure.
# shellcheck disable=SC2016
figure='s/.*PostgreSQL ([0-9]+): ([0-9]+) values of ([0-9]+) parameters: both take ([0-9]+), both refuse ([0-9]+), pgk alone takes'
figure+=' ([0-9]+) of .*; the server alone takes ([0-9]+)$/figure {"key":"catalogue \1","values":\2,"parameters":\3,"both_take":\4,'
figure+='"both_refuse":\5,"pgk_alone":\6,"server_alone":\7,"passed":true,"reasons":[]}/p'
cargo test --locked --test catalogue -- --nocapture --test-threads 1 | sed -E "p; s/^/\n/; $figure; d"
