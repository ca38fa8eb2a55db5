/* SPDX-License-Identifier: MIT */
/*
 * property.h: strings and numbers that describe a controller or a target: the contract's
 * "Controller Characteristics" and "Protocol Characteristics" (docs/from-driverkit.md 6.2, 6.3).
 * The keys are the contract's; docs/from-driverkit.md lists them.
 */
#ifndef HBAKIT_PROPERTY_H
#define HBAKIT_PROPERTY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hba_property_type { HBA_STRING, HBA_NUMBER, HBA_BYTES };

/** struct hba_property - A typed value under the contract's key. A NULL key ends a list. Copied. */
struct hba_property {
	const char *key; /* "SAS Address"; the keys: docs/from-driverkit.md */
	enum hba_property_type type;
	union {
		const char *string;
		uint64_t number;
		const void *bytes;
	} value;
	size_t length; /* of `bytes` */
};

#ifdef __cplusplus
}
#endif
#endif
