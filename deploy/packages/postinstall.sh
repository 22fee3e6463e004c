#!/bin/sh
# Makes the user of the service. Nothing is enabled or started; a service that runs is restarted.
set -eu
[ -e /usr/lib/systemd/system/ordergate.service ] || exit 0 # a package without the service
if ! getent passwd ordergate >/dev/null; then
	if command -v systemd-sysusers >/dev/null; then
		systemd-sysusers ordergate.conf
	else
		useradd --system --user-group --home-dir /var/lib/ordergate --no-create-home --shell /usr/sbin/nologin ordergate
	fi
fi
[ "$(stat -c %G /etc/ordergate)" != root ] || chgrp ordergate /etc/ordergate
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart ordergate.service || echo "ordergate did not start again: journalctl -u ordergate" >&2
	systemctl is-enabled --quiet ordergate.service || echo "Settings: /etc/ordergate/ordergate.yaml. Start it with: systemctl enable --now ordergate"
fi
