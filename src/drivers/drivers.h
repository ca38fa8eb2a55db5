/* SPDX-License-Identifier: MIT */
/* drivers.h: the drivers that are built in. The registry lists them; nobody else looks here. */
#ifndef DRIVERS_DRIVERS_H
#define DRIVERS_DRIVERS_H

#include <hbakit/driver.h>

extern const struct hba_driver soft_driver;        /* soft.c */
extern const struct hba_driver megasas_driver;     /* megasas.c */
extern const struct hba_driver mptsas_driver;      /* mptsas.c */
extern const struct hba_driver pvscsi_driver;      /* pvscsi.c */
extern const struct hba_driver sym53c8xx_driver;   /* sym53c8xx.c */
extern const struct hba_driver virtio_scsi_driver; /* virtio-scsi.c */

#endif
