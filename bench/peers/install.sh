#!/bin/sh
# Builds bin/peers and fetches the jars of Apache Kafka that the tests of clients use too. Without a JDK and Maven, Kafka is left out:
# `make benchmark-peers PEERS=nats`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
(cd "$here" && go build -o "$root/bin/peers" .)
jars=$root/bin/clients/kafka-4
[ -f "$jars/.made" ] && exit 0
if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
	echo "Apache Kafka needs a JDK and Maven (apt-get install default-jdk-headless maven)" >&2
	exit 0
fi
echo "fetching Apache Kafka's jars"
mkdir -p "$jars"
mvn -q -B -f "$root/broker/clients/java/kafka-4.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$jars"
cksum <"$root/broker/clients/java/kafka-4.xml" >"$jars/.made"
