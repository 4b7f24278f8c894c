# SPDX-License-Identifier: MIT
# Sourced by the tests of the tarball: TAP.

nr=0
failed=0

ok()	# <description> <status> [<file that explains a failure>]
{
	nr=$((nr + 1))
	if [ "$2" = 0 ]; then
		echo "ok $nr - $1"
	else
		echo "not ok $nr - $1"
		[ -z "${3:-}" ] || tail -n 40 "$3" | tr -cd '[:print:]\n' | sed 's/^/# /'
		failed=1
	fi
}

done_testing()
{
	echo "1..$nr"
	exit $failed
}
