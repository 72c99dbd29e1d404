#!/bin/sh
# Runs every fuzz target for the given time, one after the other. Minimizing is cut
# short: it may take a minute for each input that is of interest, all of the time.
set -eu
cd "$(dirname "$0")/.."
time=${1:-60s}
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "$package"
	done
done
