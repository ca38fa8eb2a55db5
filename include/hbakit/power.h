/* SPDX-License-Identifier: MIT */
/*
 * power.h: the contract's power states (docs/from-driverkit.md 2.6). A controller is on from start
 * to stop, except as set by hba_controller_set_power().
 */
#ifndef HBAKIT_POWER_H
#define HBAKIT_POWER_H

#ifdef __cplusplus
extern "C" {
#endif

/** enum hba_power - The contract's power flags. */
enum hba_power {
	HBA_POWER_OFF = 0,
	HBA_POWER_ON = 2,         /* after a controller reset; start and a rescan follow */
	HBA_POWER_PAUSE = 0x1000, /* no bus traffic while bus resources move */
	HBA_POWER_LOW = 0x10000,
};

#ifdef __cplusplus
}
#endif
#endif
