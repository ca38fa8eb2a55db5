/* SPDX-License-Identifier: MIT */
/*
 * version.h: which hbakit this is. The library's soname follows the ABI: a driver's table and the
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
 * hba_version() - The running library's version, as "0.1.0": may be newer than the headers a
 * program was built with.
 */
const char *hba_version(void);

#ifdef __cplusplus
}
#endif
#endif
