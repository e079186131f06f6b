#!/usr/bin/env bash
# Makes the clients of the end-to-end tests available: mosquitto_pub and mosquitto_sub, openssl, and the
# npm packages pinned in node/package-lock.json. Does nothing for what is there already.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v mosquitto_pub >/dev/null && command -v mosquitto_sub >/dev/null || missing+=(mosquitto-clients)
command -v openssl >/dev/null || missing+=(openssl)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ ${#missing[@]} -gt 0 ]; then
	if ! command -v apt-get >/dev/null; then
		echo "install.sh: this machine has no ${missing[*]} and no apt-get: install them with its own package manager" >&2
		exit 1
	fi
	root=
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || { echo "install.sh: run as root, or install ${missing[*]} yourself" >&2; exit 1; }
		root=sudo
	fi
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	$root apt-get update -qq
	$root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# npm writes node_modules/.package-lock.json when it is done.
if [ ! -f node/node_modules/.package-lock.json ] || [ node/package-lock.json -nt node/node_modules/.package-lock.json ]; then
	echo "installing the npm packages"
	# No package of ours needs its install script.
	(cd node && npm ci --prefer-offline --ignore-scripts --no-progress --loglevel=error)
fi
