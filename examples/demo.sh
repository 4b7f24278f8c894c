#!/bin/bash
# SPDX-License-Identifier: MIT
# What the project is for, in three parts: an owner that shares a slice by itself,
# with the library; the broker that does it by policy, with the command; and the
# broker that lends queues of a drive.
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

failed()
{
	echo "this is not as described: $1" >&2
	exit 1
}

# Waits until the broker logs a line with this text, and shows the line.
broker_says()
{
	local line=

	while [[ $line != *"$1"* ]]; do
		read -t 60 -r line <&3 || failed "the broker does not log \"$1\""
	done
	printf '     broker: %s\n' "${line#vfio-dmabufd: }"
}

start_broker()
{
	setpriv --reuid=vfio-dmabuf --regid=vfio-dmabuf --clear-groups vfio-dmabufd 2>/run/broker.log &
	broker=$!
	exec 3</run/broker.log
	broker_says "is open"
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
start_broker
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
cat <&3 >/dev/null

printf '\nPART THREE: the broker lends queues of the drive (driver: nvme)\n'
step "Each lease is a queue of the drive, with memory for it and for the data"
cat >/etc/vfio-dmabuf/vfio-dmabufd.yaml <<END
devices:
  nvme:
    function: $bdf
    driver: nvme
    slices:
      queue: {offset: 4K, length: 4K, sharing: shared, memory: 1M, allow: {users: [1000, 1001]}}
END
sed 's/^/       /' /etc/vfio-dmabuf/vfio-dmabufd.yaml
start_broker

# It writes and reads eight blocks.  Its input is fd $4, its output $5.
start_program()	# <name> <uid> <first block> <fd> <fd>
{
	mkfifo "/run/$1.in" "/run/$1.out"
	# The input of the others ends when the script closes it.
	setpriv --reuid="$2" --regid="$2" --clear-groups /lab/programs/nvme nvme/queue "$3" \
		<"/run/$1.in" >"/run/$1.out" 2>&1 3<&- 5>&- 7>&- &
	eval "exec $4>/run/$1.in $5</run/$1.out"
}

# Shows what a program has done, when that is this number of commands: $done, on $queue.
ask()	# <name> <fd> <fd> <number>
{
	local line='' deadline=$((SECONDS + 60))

	done=-1
	while [ "$done" -lt "$4" ]; do
		[ $SECONDS -lt $deadline ] || failed "$1 has stopped: $line"
		# If it has ended, its output says why.
		{ echo >&"$2"; } 2>/dev/null || true
		read -t 60 -r line <&"$3" || failed "$1 does not answer"
		[[ $line =~ "queue "([0-9]+)": "([0-9]+)" commands without an error" ]] || failed "$1: $line"
		queue=${BASH_REMATCH[1]} done=${BASH_REMATCH[2]}
	done
	echo "     $1: $line"
}

# Shows how many bytes of memory are lent.
memory_is()	# <bytes>
{
	local used

	used=$(vfio-dmabuf status --json | tr -d ' \n' |
		sed -n 's/.*"memory":{[^}]*"used":\([0-9]*\),"limit":[0-9]*,"pool_used.*/\1/p')
	[ "$used" = "$1" ] || failed "${used:-no} bytes of memory are lent"
	echo "     vfio-dmabuf status: $used bytes of memory are lent"
}

step "Programs of two users write the drive, read it back and compare, by their own queues"
trap '' PIPE
start_program A 1000 0 5 6
a=$!
start_program B 1001 100 7 8
b=$!
ask A 5 6 100
queue_of_a=$queue
ask B 7 8 100
queue_of_b=$queue
[ "$queue_of_a" != "$queue_of_b" ] || failed "they have the same queue"
run vfio-dmabuf show "$bdf"
memory_is 2097152
echo "   Look at: both have the page of doorbells, and each has memory of its own."

step "One is killed in the middle of it"
echo "     \$ kill -9 $b"
kill -9 "$b"
! wait "$b" 2>/dev/null || failed "B has ended by itself"
exec 7>&- 8<&-
broker_says "has ended"
run vfio-dmabuf leases
[ "$(vfio-dmabuf leases --json | grep -o '"lease":' | wc -l)" = 1 ] || failed "that is not one lease"
memory_is 1048576
ask A 5 6 0
ask A 5 6 $((done + 100))
done_of_a=$done
[ "$queue" = "$queue_of_a" ] || failed "A has another queue"
echo "   Look at: the broker has taken the memory of B back; A has not noticed."

step "The queue is free for the next program"
start_program C 1001 200 7 8
c=$!
ask C 7 8 100
[ "$queue" = "$queue_of_b" ] || failed "C does not have the queue that B had"
exec 7>&-
read -t 60 -r last_of_c <&8 && wait $c || failed "C has an error"
echo "     C: $last_of_c"
broker_says "has ended"
ask A 5 6 $((done_of_a + 100))
exec 5>&-
read -t 60 -r last_of_a <&6 && wait $a || failed "A has an error"
echo "     A: $last_of_a"
broker_says "has ended"
kill $broker
wait $broker
echo "   Look at: C has the number that B had, so the broker has deleted the queue of B."

step "The kernel has its drive back, with what the programs wrote"
run modprobe nvme
# What vfio-dmabuf unbind does if vfio-dmabuf bind has bound it.
echo "$bdf" >"/sys/bus/pci/devices/$bdf/driver/unbind"
echo nvme >"/sys/bus/pci/devices/$bdf/driver_override"
echo "$bdf" >/sys/bus/pci/drivers_probe
# The driver makes the node in its own time.
for _ in {1..300}; do
	[ ! -b /dev/nvme0n1 ] || break
	sleep 0.2
done
for block in 0 100 200; do
	text=$(dd if=/dev/nvme0n1 skip=$block count=1 2>/dev/null | tr -d '\0')
	echo "     block $block of /dev/nvme0n1: $text"
	case $block in
	0) expected="block 0, round ${last_of_a##* }, by user 1000" ;;
	100) expected="block 100, round +([0-9]), by user 1001" ;;
	200) expected="block 200, round ${last_of_c##* }, by user 1001" ;;
	esac
	# shellcheck disable=SC2053
	[[ $text == $expected ]] || failed "it should be \"$expected\""
done
echo "   Look at: of A and C it is the last round; B was killed in one."

printf '\nAll of it happened as described.\n'
