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
step "The administrator configures who can lease what, and starts the broker"
mkdir -p /etc/vfio-dmabuf /run/vfio-dmabuf
cat >/etc/vfio-dmabuf/vfio-dmabufd.yaml <<END
devices:
  nvme:
    function: $bdf
    slices:
      registers: {length: 4K, allow: {users: [client]}}
      doorbells: {offset: 4K, length: 4K, allow: {users: [root]}}
END
sed 's/^/       /' /etc/vfio-dmabuf/vfio-dmabufd.yaml
# Where the packages are installed, a udev rule and the units do this.
node=/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$bdf/iommu_group")")
chown vfio-dmabuf: "$node" /run/vfio-dmabuf
[ ! -e /dev/iommu ] || chown vfio-dmabuf: /dev/iommu /dev/vfio/devices/*
run ls -l "$node"
mkfifo /run/broker.log
setpriv --reuid=vfio-dmabuf --regid=vfio-dmabuf --clear-groups vfio-dmabufd 2>/run/broker.log &
broker=$!
exec 3</run/broker.log
while read -r line <&3; do
	printf '     broker: %s\n' "${line#vfio-dmabufd: }"
	case $line in
	*"is open"*) break ;;
	esac
done
echo "   Look at: the broker is never root; its user may open the device's node."

step "An ordinary user's program leases its slice, and no other"
mkfifo /run/worker.log
$as_client /lab/programs/worker nvme/registers >/run/worker.log 2>&1 &
worker=$!
exec 4</run/worker.log
read -r line <&4 && echo "     $line"
refused $as_client vfio-dmabuf read nvme/doorbells 0
run vfio-dmabuf show "$bdf"
echo "   Look at: the picture of BAR 0 shows slice, mapping and lease, and who has them."

step "The administrator revokes the lease"
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
