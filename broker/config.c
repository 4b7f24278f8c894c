/* SPDX-License-Identifier: MIT */
/* Reading the configuration; vfio-dmabufd.conf(5) describes it. */
#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "config.h"

#define MAX_FILE	(1 << 20)

static void (*tell)(const char *line);
static bool told;

__attribute__((format(printf, 2, 0)))
static void on_error(cfg_t *cfg, const char *format, va_list args)
{
	char text[512], line[768];

	vsnprintf(text, sizeof(text), format, args);
	snprintf(line, sizeof(line), "%s:%d: %s", cfg && cfg->filename ? cfg->filename : "?",
		 cfg ? cfg->line : 0, text);
	tell(line);
	told = true;
}

/* ---- what single values may be ---- */

static int check_range(cfg_t *cfg, cfg_opt_t *opt, long low, long high)
{
	long value = cfg_opt_getnint(opt, 0);

	if (value >= low && value <= high)
		return 0;
	cfg_error(cfg, "%s is %ld; it must be from %ld to %ld", cfg_opt_name(opt), value, low, high);
	return -1;
}

static int check_bar(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 0, VDB_BARS - 1);
}

static int check_count(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, CONFIG_MAX_COUNT);
}

static int check_seconds(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 0, UINT32_MAX);
}

static int check_clients(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, CONFIG_MAX_CLIENTS);
}

static int check_leases(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, CONFIG_MAX_LEASES);
}

static int check_pages(cfg_t *cfg, cfg_opt_t *opt)
{
	long value = cfg_opt_getnint(opt, 0), page = sysconf(_SC_PAGESIZE);

	if (value >= 0 && value % page == 0)
		return 0;
	cfg_error(cfg, "%s is 0x%lx; it must be a multiple of the page size, 0x%lx",
		  cfg_opt_name(opt), value, page);
	return -1;
}

static int check_word(cfg_t *cfg, cfg_opt_t *opt, const char *const *words)
{
	const char *value = cfg_opt_getnstr(opt, 0);
	char list[128] = "";

	for (size_t i = 0; words[i]; i++) {
		if (!strcmp(value, words[i]))
			return 0;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s",
			 i ? ", " : "", words[i]);
	}
	cfg_error(cfg, "%s is \"%s\"; it must be one of %s", cfg_opt_name(opt), value, list);
	return -1;
}

static const char *const resets[] = { "never", "idle", "always", NULL };
static const char *const memories[] = { "uncached", "write-combining", NULL };
static const char *const sharings[] = { "exclusive", "shared", NULL };

static int check_reset(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_word(cfg, opt, resets);
}

static int check_memory(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_word(cfg, opt, memories);
}

static int check_sharing(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_word(cfg, opt, sharings);
}

static bool is_name(const char *name)
{
	return *name && strlen(name) <= 30 &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

static int check_title(cfg_t *cfg, cfg_t *section)
{
	if (is_name(cfg_title(section)))
		return 0;
	cfg_error(cfg, "\"%s\" is no name: 1 to 30 letters, digits, '.', '_' and '-'", cfg_title(section));
	return -1;
}

/* ---- rules ---- */

static void *grow(void *array, size_t nr, size_t size)
{
	void *grown = realloc(array, (nr + 1) * size);

	if (!grown)
		abort();	/* at start or reload, of a small file */
	return grown;
}

static bool is_number(const char *text, uint32_t *number)
{
	char *end;
	unsigned long value;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	*number = value;
	/* The last one is -1, which means "none" to the kernel. */
	return !*end && !errno && value < UINT32_MAX;
}

static int add_user(cfg_t *cfg, struct rule *rule, const char *name)
{
	struct passwd *entry;
	uint32_t uid;

	if (!strcmp(name, "*")) {
		rule->everybody = true;
		return 0;
	}
	if (!is_number(name, &uid)) {
		entry = getpwnam(name);
		if (!entry) {
			cfg_error(cfg, "there is no user \"%s\"; give a name, a number, or \"*\"", name);
			return -1;
		}
		uid = entry->pw_uid;
	}
	rule->users = grow(rule->users, rule->nr_users, sizeof(*rule->users));
	rule->users[rule->nr_users++] = uid;
	return 0;
}

static int add_group(cfg_t *cfg, struct rule *rule, const char *name)
{
	struct group *entry;
	uint32_t gid;

	if (!is_number(name, &gid)) {
		entry = getgrnam(name);
		if (!entry) {
			cfg_error(cfg, "there is no group \"%s\"; give a name or a number", name);
			return -1;
		}
		gid = entry->gr_gid;
	}
	rule->groups = grow(rule->groups, rule->nr_groups, sizeof(*rule->groups));
	rule->groups[rule->nr_groups++] = gid;
	return 0;
}

static int add_unit(cfg_t *cfg, struct rule *rule, const char *name)
{
	if (!strchr(name, '.') || strchr(name, '/')) {
		cfg_error(cfg, "\"%s\" is no unit; write it with its type, as in \"name.service\"", name);
		return -1;
	}
	rule->units = grow(rule->units, rule->nr_units, sizeof(*rule->units));
	rule->units[rule->nr_units++] = strdup(name);
	return 0;
}

static int add_cgroup(cfg_t *cfg, struct rule *rule, const char *path)
{
	if (path[0] != '/' || !path[1] || path[strlen(path) - 1] == '/') {
		cfg_error(cfg, "\"%s\" is no cgroup; write its path from \"/\" on, without a \"/\" at the end",
			  path);
		return -1;
	}
	rule->cgroups = grow(rule->cgroups, rule->nr_cgroups, sizeof(*rule->cgroups));
	rule->cgroups[rule->nr_cgroups++] = strdup(path);
	return 0;
}

static int add_all(cfg_t *cfg, struct rule *rule, const char *option,
		   int (*add)(cfg_t *, struct rule *, const char *))
{
	int ret = 0;

	for (unsigned int i = 0; i < cfg_size(cfg, option); i++)
		ret |= add(cfg, rule, cfg_getnstr(cfg, option, i));
	return ret;
}

/* ---- sections ---- */

static bool is_unsigned(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 0);
	return end != text && !*end && !errno;
}

static int add_quiesce(cfg_t *cfg, struct slice_config *slice, const char *text)
{
	char offset[32], value[32];
	struct quiesce q = { 0 };
	int end = -1;

	if (sscanf(text, "%31[0-9a-fA-Fx]:%u=%31[0-9a-fA-Fx]%n", offset, &q.width, value, &end) != 3 ||
	    end < 0 || text[end] || !is_unsigned(offset, &q.offset) || !is_unsigned(value, &q.value)) {
		cfg_error(cfg, "\"%s\" is no register write; write offset:width=value, as in \"0x14:32=0\"", text);
		return -1;
	}
	if (q.width != 8 && q.width != 16 && q.width != 32 && q.width != 64) {
		cfg_error(cfg, "\"%s\": the width is 8, 16, 32 or 64 bits", text);
		return -1;
	}
	if (q.offset % (q.width / 8) || q.offset >= slice->length) {
		cfg_error(cfg, "\"%s\": the offset must be aligned to the width and lie in the slice", text);
		return -1;
	}
	if (q.width < 64 && q.value >> q.width) {
		cfg_error(cfg, "\"%s\": the value has more than %u bits", text, q.width);
		return -1;
	}
	if (slice->hooks.nr_quiesce == CONFIG_MAX_QUIESCE) {
		cfg_error(cfg, "slice %s: quiesce has more than %d registers", slice->name, CONFIG_MAX_QUIESCE);
		return -1;
	}
	slice->hooks.quiesce[slice->hooks.nr_quiesce++] = q;
	return 0;
}

static int read_slice(cfg_t *cfg, struct slice_config *slice, const char *device)
{
	int ret;

	if (check_title(cfg, cfg))
		return -1;
	snprintf(slice->name, sizeof(slice->name), "%.30s/%.30s", device, cfg_title(cfg));
	slice->bar = cfg_getint(cfg, "bar");
	slice->offset = cfg_getint(cfg, "offset");
	slice->length = cfg_getint(cfg, "length");
	slice->count = cfg_getint(cfg, "count");
	slice->max_seconds = cfg_getint(cfg, "max_seconds");
	slice->exclusive = !strcmp(cfg_getstr(cfg, "sharing"), "exclusive");
	if (cfg_getbool(cfg, "read_only"))
		slice->flags |= VDB_READ_ONLY;
	if (!strcmp(cfg_getstr(cfg, "memory"), "write-combining"))
		slice->flags |= VDB_WC;
	if (!slice->length) {
		cfg_error(cfg, "slice %s has no length; give it in bytes, in whole pages", slice->name);
		return -1;
	}
	if (slice->length > INT64_MAX / slice->count ||
	    slice->offset > INT64_MAX - slice->length * slice->count) {
		cfg_error(cfg, "slice %s: offset, length and count go beyond any BAR", slice->name);
		return -1;
	}
	ret = add_all(cfg, &slice->rule, "users", add_user) |
	      add_all(cfg, &slice->rule, "groups", add_group) |
	      add_all(cfg, &slice->rule, "units", add_unit) |
	      add_all(cfg, &slice->rule, "cgroups", add_cgroup);
	for (unsigned int i = 0; i < cfg_size(cfg, "quiesce"); i++)
		ret |= add_quiesce(cfg, slice, cfg_getnstr(cfg, "quiesce", i));
	return ret;
}

static int read_bdf(cfg_t *cfg, struct device_config *device)
{
	const char *text = cfg_getstr(cfg, "bdf");
	unsigned int domain, bus, slot, function;
	int end = -1;

	if (!text || sscanf(text, "%4x:%2x:%2x.%1u%n", &domain, &bus, &slot, &function, &end) != 4 ||
	    text[end] || slot > 31 || function > 7)
		goto bad;
	snprintf(device->bdf, sizeof(device->bdf), "%04x:%02x:%02x.%u", domain, bus, slot, function);
	if (!strcasecmp(device->bdf, text))
		return 0;
bad:
	cfg_error(cfg, "device %s: bdf is \"%s\"; it must be like \"0000:01:00.0\"",
		  device->name, text ?: "");
	return -1;
}

static int read_device(cfg_t *cfg, struct device_config *device)
{
	const char *reset = cfg_getstr(cfg, "reset");
	int ret;

	if (check_title(cfg, cfg))
		return -1;
	snprintf(device->name, sizeof(device->name), "%s", cfg_title(cfg));
	device->reset = !strcmp(reset, "idle") ? RESET_IDLE :
			!strcmp(reset, "always") ? RESET_ALWAYS : RESET_NEVER;
	ret = read_bdf(cfg, device);
	device->nr_slices = cfg_size(cfg, "slice");
	device->slices = calloc(device->nr_slices + 1, sizeof(*device->slices));
	if (!device->slices)
		abort();
	for (size_t i = 0; i < device->nr_slices; i++) {
		device->slices[i].hooks.reset = device->reset;
		ret |= read_slice(cfg_getnsec(cfg, "slice", i), &device->slices[i], device->name);
	}
	return ret;
}

static int check_bdfs_differ(cfg_t *cfg, const struct config *config)
{
	for (size_t i = 0; i < config->nr_devices; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(config->devices[i].bdf, config->devices[j].bdf))
				continue;
			cfg_error(cfg_getnsec(cfg, "device", i), "devices %s and %s have the same bdf",
				  config->devices[j].name, config->devices[i].name);
			return -1;
		}
	}
	return 0;
}

static int read_all(cfg_t *cfg, struct config *config)
{
	int ret;

	snprintf(config->user, sizeof(config->user), "%s", cfg_getstr(cfg, "user"));
	if (config->user[0] && !getpwnam(config->user)) {
		cfg_error(cfg, "user is \"%s\", and there is none of that name", config->user);
		return -1;
	}
	config->max_clients = cfg_getint(cfg, "max_clients");
	config->max_clients_per_user = cfg_getint(cfg, "max_clients_per_user");
	config->max_leases = cfg_getint(cfg, "max_leases");
	config->max_leases_per_client = cfg_getint(cfg, "max_leases_per_client");
	config->max_leases_per_user = cfg_getint(cfg, "max_leases_per_user");
	ret = add_all(cfg, &config->admins, "admin_users", add_user) |
	      add_all(cfg, &config->admins, "admin_groups", add_group);
	config->nr_devices = cfg_size(cfg, "device");
	config->devices = calloc(config->nr_devices + 1, sizeof(*config->devices));
	if (!config->devices)
		abort();
	for (size_t i = 0; i < config->nr_devices; i++)
		ret |= read_device(cfg_getnsec(cfg, "device", i), &config->devices[i]);
	return ret ?: check_bdfs_differ(cfg, config);
}

/*
 * libconfuse takes the end of a file for the end of all sections.  What is put
 * behind it shows in which section it is by then.
 */
#define AT_END	"\n_closed = true\n"

/* The file with AT_END behind it, to be freed; its length in *size. */
static char *get_text(const char *file, size_t *size)
{
	FILE *stream = fopen(file, "re");
	char *text = malloc(MAX_FILE + sizeof(AT_END)), line[512];

	if (!text)
		abort();
	if (!stream) {
		snprintf(line, sizeof(line), "%s: %s", file, strerror(errno));
		goto fail;
	}
	*size = fread(text, 1, MAX_FILE, stream);
	if (ferror(stream) || *size == MAX_FILE) {
		snprintf(line, sizeof(line), "%s: it cannot be read, or has %d bytes or more", file, MAX_FILE);
		goto fail;
	}
	fclose(stream);
	strcpy(text + *size, AT_END);
	*size += strlen(AT_END);
	return text;
fail:
	tell(line);
	if (stream)
		fclose(stream);
	free(text);
	return NULL;
}

static int parse(cfg_t *cfg, const char *file)
{
	size_t size;
	char *text = get_text(file, &size);
	FILE *stream;
	bool good;

	if (!text)
		return -1;
	free(cfg->filename);
	cfg->filename = strdup(file);
	cfg_setbool(cfg, "_closed", cfg_false);
	told = false;
	stream = fmemopen(text, size, "r");
	if (!stream)
		abort();
	good = cfg_parse_fp(cfg, stream) == CFG_SUCCESS && cfg_getbool(cfg, "_closed");
	/* The library is silent about some ends, too. */
	if (!good && !told)
		cfg_error(cfg, "the file ends within a section or a string; is a '}' or a '\"' missing?");
	fclose(stream);
	free(text);
	return good ? 0 : -1;
}

static int parse_all(cfg_t *cfg, const char *file, const char *directory)
{
	char pattern[512];
	glob_t found;
	int ret = parse(cfg, file);

	if (!directory)
		return ret;
	snprintf(pattern, sizeof(pattern), "%s/*.conf", directory);
	if (glob(pattern, 0, NULL, &found))
		return ret;
	for (size_t i = 0; i < found.gl_pathc; i++)
		ret |= parse(cfg, found.gl_pathv[i]);
	globfree(&found);
	return ret;
}

struct config *config_read(const char *file, const char *directory,
			   void (*error)(const char *line))
{
	cfg_opt_t slice[] = {
		CFG_INT("bar", 0, CFGF_NONE),
		CFG_INT("offset", 0, CFGF_NONE),
		CFG_INT("length", 0, CFGF_NONE),
		CFG_INT("count", 1, CFGF_NONE),
		CFG_INT("max_seconds", 0, CFGF_NONE),
		CFG_BOOL("read_only", cfg_false, CFGF_NONE),
		CFG_STR("memory", "uncached", CFGF_NONE),
		CFG_STR("sharing", "exclusive", CFGF_NONE),
		CFG_STR_LIST("users", "{}", CFGF_NONE),
		CFG_STR_LIST("groups", "{}", CFGF_NONE),
		CFG_STR_LIST("units", "{}", CFGF_NONE),
		CFG_STR_LIST("cgroups", "{}", CFGF_NONE),
		CFG_STR_LIST("quiesce", "{}", CFGF_NONE),
		CFG_BOOL("_closed", cfg_false, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t device[] = {
		CFG_STR("bdf", NULL, CFGF_NONE),
		CFG_STR("reset", "idle", CFGF_NONE),
		CFG_SEC("slice", slice, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_BOOL("_closed", cfg_false, CFGF_NONE),
		CFG_END()
	};
	cfg_opt_t all[] = {
		CFG_STR("user", "", CFGF_NONE),
		CFG_INT("max_clients", 64, CFGF_NONE),
		CFG_INT("max_clients_per_user", 16, CFGF_NONE),
		CFG_INT("max_leases", CONFIG_MAX_LEASES, CFGF_NONE),
		CFG_INT("max_leases_per_client", 16, CFGF_NONE),
		CFG_INT("max_leases_per_user", 64, CFGF_NONE),
		CFG_STR_LIST("admin_users", "{}", CFGF_NONE),
		CFG_STR_LIST("admin_groups", "{}", CFGF_NONE),
		CFG_BOOL("_closed", cfg_false, CFGF_NONE),
		CFG_SEC("device", device, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_END()
	};
	struct config *config = calloc(1, sizeof(*config));
	cfg_t *cfg = cfg_init(all, CFGF_NONE);

	if (!config || !cfg)
		abort();
	tell = error;
	cfg_set_error_function(cfg, on_error);
	cfg_set_validate_func(cfg, "max_clients", check_clients);
	cfg_set_validate_func(cfg, "max_clients_per_user", check_clients);
	cfg_set_validate_func(cfg, "max_leases", check_leases);
	cfg_set_validate_func(cfg, "max_leases_per_client", check_leases);
	cfg_set_validate_func(cfg, "max_leases_per_user", check_leases);
	cfg_set_validate_func(cfg, "device|reset", check_reset);
	cfg_set_validate_func(cfg, "device|slice|bar", check_bar);
	cfg_set_validate_func(cfg, "device|slice|offset", check_pages);
	cfg_set_validate_func(cfg, "device|slice|length", check_pages);
	cfg_set_validate_func(cfg, "device|slice|count", check_count);
	cfg_set_validate_func(cfg, "device|slice|max_seconds", check_seconds);
	cfg_set_validate_func(cfg, "device|slice|memory", check_memory);
	cfg_set_validate_func(cfg, "device|slice|sharing", check_sharing);

	if (parse_all(cfg, file, directory) || read_all(cfg, config)) {
		config_free(config);
		config = NULL;
	}
	cfg_free(cfg);
	return config;
}

static void free_rule(struct rule *rule)
{
	for (size_t i = 0; i < rule->nr_units; i++)
		free(rule->units[i]);
	for (size_t i = 0; i < rule->nr_cgroups; i++)
		free(rule->cgroups[i]);
	free(rule->users);
	free(rule->groups);
	free(rule->units);
	free(rule->cgroups);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->nr_devices; i++) {
		struct device_config *device = &config->devices[i];

		for (size_t j = 0; j < device->nr_slices; j++)
			free_rule(&device->slices[j].rule);
		free(device->slices);
	}
	free_rule(&config->admins);
	free(config->devices);
	free(config);
}

struct device_config *config_find_device(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_devices; i++)
		if (!strcmp(config->devices[i].name, name))
			return &config->devices[i];
	return NULL;
}

struct slice_config *config_find_slice(const struct config *config, const char *name,
				       struct device_config **device)
{
	for (size_t i = 0; i < config->nr_devices; i++) {
		for (size_t j = 0; j < config->devices[i].nr_slices; j++) {
			if (strcmp(config->devices[i].slices[j].name, name))
				continue;
			if (device)
				*device = &config->devices[i];
			return &config->devices[i].slices[j];
		}
	}
	return NULL;
}
