#!/bin/sh
# Stops the service when the package goes, not when it is upgraded: remove (deb), 0 (rpm).
set -eu
case "${1:-}" in
remove | 0) [ ! -d /run/systemd/system ] || systemctl disable --now ordergate.service || true ;;
esac
