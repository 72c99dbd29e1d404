#!/bin/sh
# Fails when a generated file is stale: generates again and compares.
set -eu
cd "$(dirname "$0")/.."
make=${1:-make}

sums() {
	{
		git ls-files --cached --others --exclude-standard 'views/*_templ.go'
		find static/dist -type f
	} | sort -u | xargs sha256sum
}

before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
sums >"$before"
"$make" --no-print-directory generate
sums >"$after"
if ! diff "$before" "$after" >&2; then
	echo "generated files were stale and have been made anew: commit them" >&2
	exit 1
fi
