/* SPDX-License-Identifier: MIT */
/*
 * Giving up root's rights.  The fds of the devices are all that the broker
 * needs from then on: the kernel checks rights when they are opened.
 */
#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"
#include "privileges.h"

int privileges_drop(const char *user)
{
	struct passwd *entry = getpwnam(user);
	int ret;

	if (!entry) {
		log_line(LOG_ERR, "there is no user %s", user);
		return -1;
	}
	if (getuid() == entry->pw_uid)
		return 0;	/* the service manager has done it */

	capng_clear(CAPNG_SELECT_ALL);
	ret = capng_change_id(entry->pw_uid, entry->pw_gid,
			      CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	if (ret) {
		log_line(LOG_ERR, "becoming user %s failed (%d): %s", user, ret, strerror(errno));
		return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setuid(0) == 0 ||
	    capng_have_capabilities(CAPNG_SELECT_BOTH) != CAPNG_NONE) {
		log_line(LOG_ERR, "user %s would still have root's rights", user);
		return -1;
	}
	return 0;
}
