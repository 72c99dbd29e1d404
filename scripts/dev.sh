#!/bin/sh
# Runs the dashboard and starts it again when a source changes: templ watches
# its own files and Go's, npm watches the styles and scripts.
set -eu
cd "$(dirname "$0")/.."
npm run --silent watch:css &
css=$!
npm run --silent watch:js &
js=$!
trap 'kill "$css" "$js" 2>/dev/null || true' EXIT INT TERM
$1 generate --watch --proxy http://127.0.0.1:8080 --open-browser=false --cmd "go run ./cmd/twinboard --static static/dist"
