# SPDX-License-Identifier: MIT
# Sourced by the tests of the packages: TAP, and what several of them need.

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

# Runs a command line as an ordinary user.
as()	# <user> <command line>
{
	setpriv --reuid="$1" --regid="$1" --init-groups sh -c "$2"
}
