/* SPDX-License-Identifier: MIT */
/*
 * elf.c: a shared object before it is loaded, and what one of its symbols is. dlopen() maps what a
 * file's head promises without a look at where the file ends: who then touches a page that is not
 * there is ended by SIGBUS. Its words for other mistakes are about formats and headers.
 */
#include "base/base.h"
#include "core/controller/controller.h"
#include "host/host.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another machine's are dlopen()'s to refuse: it does so by the head alone. */
static bool is_native(const ElfW(Ehdr) * head)
{
	const unsigned char class = sizeof(void *) == sizeof(Elf64_Addr) ? ELFCLASS64 : ELFCLASS32;
	const unsigned char data =
		__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

	return head->e_ident[EI_CLASS] == class && head->e_ident[EI_DATA] == data &&
	       head->e_phentsize == sizeof(ElfW(Phdr));
}

/* The mapped part. Loading needs nothing else; the rest is for debuggers. */
static bool has_segments(int fd, const ElfW(Ehdr) * head, uint64_t size)
{
	for (unsigned i = 0; i < head->e_phnum; i++) {
		const uint64_t at = head->e_phoff + i * sizeof(ElfW(Phdr));
		ElfW(Phdr) segment;

		if (pread(fd, &segment, sizeof(segment), (off_t)at) != (ssize_t)sizeof(segment))
			return false;
		if (segment.p_type == PT_LOAD &&
		    (segment.p_filesz > size || segment.p_offset > size - segment.p_filesz))
			return false;
	}
	return true;
}

static int check_head(const char *path, int fd, uint64_t size)
{
	ElfW(Ehdr) head = { .e_type = ET_NONE };
	ssize_t got = pread(fd, &head, sizeof(head), 0);

	if (got < 0 || memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_type != ET_DYN)
		return fail(-ENOEXEC, "%s: is not a shared object; build one by cc -shared -fPIC",
			    path);
	if (got < (ssize_t)sizeof(head) || (is_native(&head) && !has_segments(fd, &head, size)))
		return fail(-ENOEXEC, "%s: is cut short, at %llu bytes: build or copy it again",
			    path, (unsigned long long)size);
	return 0;
}

int elf_check_file(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return fail(-errno, "%s: %s", path,
			    errno == ENOENT ? "there is no such file" : strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return fail(-ENOEXEC, "%s: is not a file, but a plug-in is one: a shared object",
			    path);
	return check_head(path, fd, (uint64_t)st.st_size);
}

/* A thread's own variable is in no object; an ifunc may lead to a function without a name. */
bool elf_is_function(const void *address)
{
	void *found = NULL;
	Dl_info object;
	const ElfW(Sym) * symbol;

	if (!dladdr1(address, &object, &found, RTLD_DL_SYMENT))
		return false;
	symbol = found;
	return !symbol || ELF64_ST_TYPE(symbol->st_info) == STT_FUNC;
}
