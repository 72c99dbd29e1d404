#!/bin/sh
# Runs the dashboard and starts it again when a source changes: templ watches
# its own files and Go's and reloads the browser, npm watches styles and scripts.
set -eu
cd "$(dirname "$0")/.."
npm run --silent watch:css &
css=$!
npm run --silent watch:js &
js=$!
# What is committed is the small build, so that is what stays behind.
finish() {
	trap - EXIT INT TERM
	kill "$css" "$js" 2>/dev/null || true
	wait
	npm run --silent build
}
trap finish EXIT INT TERM
echo "open http://127.0.0.1:7331, which reloads by itself"
$1 generate --watch --proxy http://127.0.0.1:8080 --open-browser=false --cmd "go run ./cmd/twinboard --static static/dist"
