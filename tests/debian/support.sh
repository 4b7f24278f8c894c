# SPDX-License-Identifier: MIT
# Sourced by the tests of the packages: TAP and shared functions.

. /lab/devices

nr=0
failed=0

ok()	# <description> <status> [<file that explains a failure>]
{
	nr=$((nr + 1))
	if [ "$2" = 0 ]; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		[ -z "${3:-}" ] || tail -n 60 "$3" | sed 's/^/# /'
		failed=1
	fi
}

skip()	# <description> <reason>
{
	nr=$((nr + 1))
	echo "ok $nr - $1 # SKIP $2"
}

done_testing()
{
	echo "1..$nr"
	exit $failed
}

# The address of a device of lab/machine.
bdf_of()	# <name>
{
	devices | while read -r name place; do
		[ "$name" != "$1" ] || device_at "$place"
	done
}

# Files by which a package changes what the system does, sorted.
files_of_the_system()
{
	find /etc/{default,dkms,init.d,modprobe.d,modules-load.d,systemd,sysusers.d,tmpfiles.d,udev} \
		/usr/lib/{modprobe.d,modules-load.d,systemd,sysusers.d,tmpfiles.d,udev} 2>/dev/null | sort
}

# Runs a command line as an ordinary user.
as()	# <user> <command line>
{
	setpriv --reuid="$1" --regid="$1" --init-groups sh -c "$2"
}

# Waits until the broker has logged a line, for two minutes.
logged()	# <pattern>
{
	grep -q -m 1 "$1" < <(timeout 120 journalctl -u vfio-dmabufd.service -n all -f -o cat)
}

# A test.
udev_verifies()	# <rules>
{
	if udevadm verify --help >/dev/null 2>&1; then
		udevadm verify --no-style "/usr/lib/udev/rules.d/$1" >/tmp/rules 2>&1
		ok "udev finds nothing wrong with $1" $? /tmp/rules
	else
		skip "udev finds nothing wrong with $1" "udevadm cannot verify rules before version 254"
	fi
}

# The process that the service manager started last.
broker_pid()
{
	systemctl show -P MainPID vfio-dmabufd.service
}
