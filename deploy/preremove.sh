#!/bin/sh
# Before a package is removed the broker is stopped and its unit disabled; the data stays. An upgrade leaves both alone.
# dpkg says "remove", and rpm how many versions stay.
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now streambus.service || true
	fi
	;;
esac
