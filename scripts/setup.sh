#!/bin/sh
# Installs what the browser and SDK tests need: Chromium and Node from Debian
# when they are missing and we may, npm packages from the lock files. Says in
# one line what is missing where it cannot. Arguments are further folders whose
# npm packages to install.
set -eu
cd "$(dirname "$0")/.."

missing=""
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"

if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		echo "installing$missing"
		log=$(mktemp)
		# shellcheck disable=SC2086
		if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
			cat "$log" >&2
			exit 1
		fi
		rm -f "$log"
	else
		echo "make: the tests need these packages, please install them:$missing" >&2
		exit 1
	fi
fi

# Versions are those of the lock file, which stays as it is. Not npm ci: it
# refuses a lock file without the optional binaries of every other platform.
# Only when the lock file is newer than what it made, because it is slow.
for dir in . localhub/conformance "$@"; do
	[ -f "$dir/package-lock.json" ] || continue
	stamp="$dir/node_modules/.twinboard-stamp"
	if [ ! -f "$stamp" ] || [ "$dir/package-lock.json" -nt "$stamp" ]; then
		(cd "$dir" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error)
		touch "$stamp"
	fi
done
