/* SPDX-License-Identifier: MIT */
/*
 * version.h: the version of hbakit. The library's soname follows the ABI: a driver's table and the
 * head of a task only ever grow.
 */
#ifndef HBAKIT_VERSION_H
#define HBAKIT_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define HBA_VERSION_MAJOR 0
#define HBA_VERSION_MINOR 1
#define HBA_VERSION_PATCH 0

/**
 * hba_version() - The version of the running library, as "0.1.0"; it may be newer than the headers
 * of the build.
 */
const char *hba_version(void);

#ifdef __cplusplus
}
#endif
#endif
