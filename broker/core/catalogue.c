/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "catalogue.h"

const struct catalogue_device *catalogue_find_device(const struct catalogue *catalogue,
						     const char *bdf)
{
	for (size_t i = 0; i < catalogue->nr_devices; i++)
		if (!strcmp(catalogue->devices[i].bdf, bdf))
			return &catalogue->devices[i];
	return NULL;
}

const struct slice *catalogue_find_slice(const struct catalogue *catalogue, const char *name,
					 const struct catalogue_device **device)
{
	for (size_t i = 0; i < catalogue->nr_devices; i++) {
		const struct catalogue_device *d = &catalogue->devices[i];

		for (size_t j = 0; j < d->nr_slices; j++) {
			if (strcmp(d->slices[j].name, name))
				continue;
			*device = d;
			return &d->slices[j];
		}
	}
	return NULL;
}
