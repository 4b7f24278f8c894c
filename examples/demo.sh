#!/bin/bash
# SPDX-License-Identifier: MIT
# What the project is for, in two parts: an owner that shares a slice by itself,
# with the library; and the broker that does it by policy, with the command.
# Run as root on a machine with an NVMe controller that is bound to
# dmabuf-vfio-pci; /lab is where the examples are.

set -euo pipefail
bdf=$(vfio-dmabuf list --bound | sed -n 's/^\([^ ]*\) .*NVM Express.*/\1/p' | head -n 1)
[ -n "$bdf" ] || { echo "no NVMe controller is bound; see vfio-dmabuf list" >&2; exit 1; }
step=5

step()
{
	step=$((step + 1))
	printf '\n%d. %s\n' $step "$1"
}

# Shows a command, then what it prints.
run()
{
	printf '     $ %s\n' "$*"
	"$@" 2>&1 | sed 's/^/       /'
}

# The same, of one that must not work.
refused()
{
	! run "$@" || { echo "this should have been refused" >&2; exit 1; }
}

as_client="setpriv --reuid=1000 --regid=1000 --clear-groups"

echo "PART ONE: a program shares a slice (libvfio-dmabuf)"
/lab/programs/owner "$bdf"

printf '\nPART TWO: the broker does it for you (vfio-dmabufd, vfio-dmabuf)\n'
step "The administrator says what is lent to whom, and starts the broker"
mkdir -p /etc/vfio-dmabuf /run/vfio-dmabuf
cat >/etc/vfio-dmabuf/vfio-dmabufd.conf <<END
user = "client"
device "nvme" {
    bdf = "$bdf"
    slice "registers" { bar = 0  length = 0x1000  users = { "client" } }
    slice "doorbells" { bar = 0  offset = 0x1000  length = 0x1000  users = { "root" } }
}
END
sed 's/^/       /' /etc/vfio-dmabuf/vfio-dmabufd.conf
mkfifo /run/broker.log
vfio-dmabufd 2>/run/broker.log &
broker=$!
exec 3</run/broker.log
while read -r line <&3; do
	printf '     broker: %s\n' "${line#vfio-dmabufd: }"
	case $line in
	*ready*) break ;;
	esac
done
echo "   Look at: the broker has opened the device and is user 'client' from then on."

step "An ordinary user's program has its slice lent, and no other"
mkfifo /run/worker.log
$as_client /lab/programs/worker nvme/registers >/run/worker.log 2>&1 &
worker=$!
exec 4</run/worker.log
read -r line <&4 && echo "     $line"
refused $as_client vfio-dmabuf read nvme/doorbells 0
run vfio-dmabuf show "$bdf"
echo "   Look at: the picture of BAR 0 shows slice, mapping and lease, and who has them."

step "The administrator takes it back"
run vfio-dmabuf leases
lease=$(vfio-dmabuf leases --json | sed -n 's/.*"lease": \([0-9]*\).*/\1/p')
run vfio-dmabuf revoke "$lease"
while read -r line <&4; do
	echo "     $line"
done
wait $worker
run $as_client vfio-dmabuf read nvme/registers 8
echo "   Look at: the program got an error instead of a signal, and the slice is free again."
kill $broker
wait $broker

printf '\nAll of it happened as described.\n'
