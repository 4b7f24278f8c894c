# SPDX-License-Identifier: MIT
# Completion of vfio-dmabuf for bash: asks the command for what there is.

_vfio_dmabuf()
{
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-} words=

	if [ "$COMP_CWORD" = 1 ]; then
		words='list bind unbind show slices leases revoke read write run doctor --help --version'
	elif [[ $cur == -* ]]; then
		words=$(vfio-dmabuf "$command" --help 2>/dev/null | grep -oE -- '--[a-z-]+')
	else
		case $command in
		list|show|bind)
			words=$(vfio-dmabuf list 2>/dev/null | grep -oE '^[0-9a-f]{4,}:[^ ]*') ;;
		unbind)
			words=$(vfio-dmabuf list --bound 2>/dev/null | grep -oE '^[0-9a-f]{4,}:[^ ]*') ;;
		revoke)
			words=$(vfio-dmabuf leases 2>/dev/null | grep -oE '^[0-9]+') ;;
		read|write|run)
			words=$(vfio-dmabuf slices 2>/dev/null | grep -oE '^[^ ]+') ;;
		esac
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
	# A BDF has colons, at which bash divides words.
	[ "$(type -t __ltrim_colon_completions)" != function ] || __ltrim_colon_completions "$cur"
}
complete -F _vfio_dmabuf vfio-dmabuf
