// SPDX-License-Identifier: MIT
/* The instructions of a kernel module that call functions outside of it. */
#define _GNU_SOURCE
#include "callsites.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sysfs.h"

#ifdef __aarch64__
#define MACHINE		EM_AARCH64
/* Bytes of the instruction before what is relocated. */
#define OPCODE_SIZE	0
#else
#define MACHINE		EM_X86_64
#define OPCODE_SIZE	1
#define CALL		0xe8
#define JMP		0xe9
#endif

struct object {
	const uint8_t *data;
	size_t size;
	const Elf64_Shdr *sections;
	const char *section_names;
	unsigned int nr_sections;
	const Elf64_Sym *symbols;
	size_t nr_symbols;
	const char *names;
};

const char *module_file(const char *name)
{
	static char path[256];
	struct utsname kernel;

	uname(&kernel);
	snprintf(path, sizeof(path), "/lib/modules/%s/updates/%s.ko", kernel.release, name);
	return path;
}

static bool object_open(struct object *o, const char *path)
{
	const Elf64_Ehdr *header;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(o, 0, sizeof(*o));
	if (fd < 0)
		return false;
	if (fstat(fd, &st)) {
		close(fd);
		return false;
	}
	o->size = st.st_size;
	o->data = mmap(NULL, o->size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (o->data == MAP_FAILED)
		return false;

	/* Our own build's: that it is well-formed is taken for granted. */
	header = (const void *)o->data;
	if (o->size < sizeof(*header) || memcmp(header->e_ident, ELFMAG, SELFMAG) ||
	    header->e_machine != MACHINE || header->e_type != ET_REL) {
		munmap((void *)o->data, o->size);
		errno = ENOEXEC;
		return false;
	}
	o->sections = (const void *)(o->data + header->e_shoff);
	o->nr_sections = header->e_shnum;
	o->section_names = (const char *)o->data + o->sections[header->e_shstrndx].sh_offset;
	for (unsigned int i = 0; i < o->nr_sections; i++) {
		const Elf64_Shdr *s = &o->sections[i];

		if (s->sh_type != SHT_SYMTAB)
			continue;
		o->symbols = (const void *)(o->data + s->sh_offset);
		o->nr_symbols = s->sh_size / sizeof(*o->symbols);
		o->names = (const char *)o->data + o->sections[s->sh_link].sh_offset;
	}
	return true;
}

static void find_function(const struct object *o, unsigned int section, struct callsite *site)
{
	snprintf(site->function, sizeof(site->function), "?");
	for (size_t i = 0; i < o->nr_symbols; i++) {
		const Elf64_Sym *s = &o->symbols[i];

		if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || s->st_shndx != section ||
		    site->offset < s->st_value || site->offset >= s->st_value + s->st_size)
			continue;
		snprintf(site->function, sizeof(site->function), "%s", o->names + s->st_name);
		return;
	}
}

static bool is_call(const struct object *o, const Elf64_Shdr *text, const Elf64_Rela *r)
{
	uint32_t type = ELF64_R_TYPE(r->r_info);
#ifdef __aarch64__
	(void)o;
	(void)text;
	return type == R_AARCH64_CALL26 || type == R_AARCH64_JUMP26;
#else
	uint8_t opcode;

	if ((type != R_X86_64_PLT32 && type != R_X86_64_PC32) || !r->r_offset)
		return false;
	opcode = o->data[text->sh_offset + r->r_offset - 1];
	return opcode == CALL || opcode == JMP;
#endif
}

bool callsites_read(const char *path, struct callsite **sites, size_t *nr)
{
	struct object o;
	size_t room = 0;

	*sites = NULL;
	*nr = 0;
	if (!object_open(&o, path))
		return false;
	for (unsigned int i = 0; i < o.nr_sections; i++) {
		const Elf64_Shdr *relocations = &o.sections[i];
		const Elf64_Shdr *text = &o.sections[relocations->sh_info];
		const Elf64_Rela *r = (const void *)(o.data + relocations->sh_offset);

		if (relocations->sh_type != SHT_RELA || !(text->sh_flags & SHF_EXECINSTR))
			continue;
		for (size_t n = relocations->sh_size / sizeof(*r); n; n--, r++) {
			const Elf64_Sym *callee = &o.symbols[ELF64_R_SYM(r->r_info)];
			struct callsite *site;

			if (callee->st_shndx != SHN_UNDEF || !is_call(&o, text, r))
				continue;
			if (*nr == room) {
				room = room ? 2 * room : 256;
				*sites = reallocarray(*sites, room, sizeof(**sites));
				if (!*sites)
					abort();
			}
			site = &(*sites)[(*nr)++];
			site->offset = r->r_offset - OPCODE_SIZE;
			snprintf(site->callee, sizeof(site->callee), "%s", o.names + callee->st_name);
			snprintf(site->section, sizeof(site->section), "%s", o.section_names + text->sh_name);
			find_function(&o, relocations->sh_info, site);
		}
	}
	munmap((void *)o.data, o.size);
	return true;
}

uint64_t section_size(const char *path, const char *section)
{
	uint64_t size = 0;
	struct object o;

	if (!object_open(&o, path))
		return 0;
	for (unsigned int i = 0; i < o.nr_sections; i++)
		if (!strcmp(o.section_names + o.sections[i].sh_name, section))
			size = o.sections[i].sh_size;
	munmap((void *)o.data, o.size);
	return size;
}

uint64_t section_address(const char *module, const char *section)
{
	char path[256], text[64];

	snprintf(path, sizeof(path), "/sys/module/%s/sections/%s", module, section);
	return file_read(path, text, sizeof(text)) > 0 ? strtoull(text, NULL, 16) : 0;
}
