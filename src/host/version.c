/* SPDX-License-Identifier: MIT */
/* version.c: which library is running. */
#include <hbakit/version.h>

#define TEXT_OF(n) #n
#define TEXT(n)    TEXT_OF(n)

const char *hba_version(void)
{
	return TEXT(HBA_VERSION_MAJOR) "." TEXT(HBA_VERSION_MINOR) "." TEXT(HBA_VERSION_PATCH);
}
