# SPDX-License-Identifier: MIT
# Completion of vfio-dmabuf for bash: asks the command for what there is.

_vfio_dmabuf()
{
	local commands='list bind unbind show devices slices leases renew revoke watch status reload read write run doctor help'
	# COMP_WORDS is divided at colons, which a BDF has.
	local line=${COMP_LINE:0:COMP_POINT} list= args cur command= i

	read -ra args <<<"$line"
	[[ $line != *[[:space:]] ]] || args+=('')
	cur=${args[-1]}
	# Options can stand before the command, and one of them has an argument.
	for ((i = 1; i < ${#args[@]} - 1; i++)); do
		case ${args[i]} in
		-S|--socket) ((i++)) ;;
		-*) ;;
		*) command=${args[i]}; break ;;
		esac
	done
	if [[ ${#args[@]} -gt 2 && ${args[-2]} == @(-S|--socket) ]]; then
		list=$(compgen -f -- "$cur")
	elif [ -z "$command" ]; then
		list="$commands --json --socket --help --version"
	elif [[ $cur == -* ]]; then
		list=$(vfio-dmabuf "$command" --help 2>/dev/null | grep -oE -- '--[a-z-]+')
	else
		case $command in
		help)
			list=$commands ;;
		list|show)
			list=$(vfio-dmabuf list 2>/dev/null | grep -oE '^[0-9a-f]{4,}:[^ ]*') ;;
		bind)
			if [[ $cur == /* ]]; then
				list=$(compgen -f -- "$cur")
			else
				list=$(vfio-dmabuf list 2>/dev/null | grep -oE '^[0-9a-f]{4,}:[^ ]*'; cd /sys/class/net && compgen -G '*')
			fi ;;
		unbind)
			list=$(vfio-dmabuf list --bound 2>/dev/null | grep -oE '^[0-9a-f]{4,}:[^ ]*'
				vfio-dmabuf bind --list 2>/dev/null | grep -oE '^[0-9a-f]{4,}:[^ ]*') ;;
		renew|revoke)
			list=$(vfio-dmabuf leases 2>/dev/null | grep -oE '^[0-9]+') ;;
		read|write|run)
			list=$(vfio-dmabuf slices 2>/dev/null | grep -oE '^[^ /]+/[^ ]+') ;;
		esac
	fi
	COMPREPLY=($(compgen -W "$list" -- "$cur"))
	# What stands before the last colon stays in the line.
	[[ $COMP_WORDBREAKS != *:* ]] || COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
}
complete -F _vfio_dmabuf vfio-dmabuf
