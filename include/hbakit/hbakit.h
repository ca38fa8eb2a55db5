/* SPDX-License-Identifier: MIT */
/*
 * hbakit.h: all headers of an application. To read a driver's report or a port's status, include
 * hbakit/driver.h as well. (A driver includes hbakit/driver.h, a back end hbakit/bus.h.)
 */
#ifndef HBAKIT_HBAKIT_H
#define HBAKIT_HBAKIT_H

#include <hbakit/controller.h>
#include <hbakit/disk.h>
#include <hbakit/dma.h>
#include <hbakit/event.h>
#include <hbakit/log.h>
#include <hbakit/lun.h>
#include <hbakit/pci.h>
#include <hbakit/power.h>
#include <hbakit/property.h>
#include <hbakit/scsi.h>
#include <hbakit/task.h>
#include <hbakit/version.h>

#endif
