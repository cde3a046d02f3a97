#!/bin/sh
# Fetches the clients that the tests here run, with the ordinary package managers, into bin/clients. What is there is left alone.
# What cannot be had is noted in bin/clients/NAME.why, which the tests show: this script fails only where it cannot work at all.
set -u
here=$(cd "$(dirname "$0")" && pwd)
dest=$(cd "$here/../.." && pwd)/bin/clients
mkdir -p "$dest"

# need COMMAND PACKAGE…: a command of Debian's packages.
need() {
	command -v "$1" >/dev/null && return
	shift
	echo "installing $*"
	apt-get -qq update >/dev/null 2>&1
	DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null 2>&1
}
need kcat kcat
need javac default-jdk-headless
need mvn maven
need node nodejs
need npm npm
need python3 python3
python3 -c 'import ensurepip' 2>/dev/null || DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >/dev/null 2>&1

# fetch NAME RECIPE-FILE COMMAND…: runs the command in a new bin/clients/NAME, unless that was made by this recipe already.
fetch() {
	name=$1 recipe=$2
	shift 2
	stamp=$(cksum <"$recipe")
	[ "$(cat "$dest/$name/.made" 2>/dev/null)" = "$stamp" ] && return
	echo "fetching $name"
	rm -rf "${dest:?}/$name" "$dest/$name.why"
	mkdir "$dest/$name"
	if (cd "$dest/$name" && "$@") >"$dest/$name.log" 2>&1; then
		echo "$stamp" >"$dest/$name/.made"
	else
		grep -m1 -iE 'error|not found|no such' "$dest/$name.log" >"$dest/$name.why" || echo "see $name.log" >"$dest/$name.why"
	fi
}
jars() { mvn -q -B -f "$1" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD"; }
venv() { python3 -m venv . && bin/pip install -q -r "$1"; }
npms() { cp "$here/node/package.json" . && npm install --no-audit --no-fund; }
gomod() { (cd "$here/sarama" && go build -o "$dest/sarama/sarama" .); }

fetch kafka-3 "$here/java/kafka-3.xml" jars "$here/java/kafka-3.xml"
fetch kafka-4 "$here/java/kafka-4.xml" jars "$here/java/kafka-4.xml"
fetch python "$here/python/requirements.txt" venv "$here/python/requirements.txt"
fetch node "$here/node/package.json" npms
fetch sarama "$here/sarama/go.sum" true
[ -f "$dest/sarama.why" ] || gomod >"$dest/sarama.log" 2>&1 || tail -1 "$dest/sarama.log" >"$dest/sarama.why"
exit 0
