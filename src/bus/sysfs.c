/* SPDX-License-Identifier: MIT */
/*
 * sysfs.c: the system's facts about a PCI function, and each reason why VFIO would refuse it, with
 * the remedy. Only reads.
 *
 * VFIO's own answer to any of these is a bare errno, the same for several; so they are looked for
 * before, one by one.
 */
#include "bus/bus.h"

#include "base/base.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PATH_BYTES = 512,
	TEXT_BYTES = 4096,
	ADDRESS_CHARS = 12,
	CLASS_BRIDGE = 0x0604,
	CAP_IPC_LOCK_BIT = 14
};
/*
 * Rings, HBA data and the bounce space of one controller, with room for an application's buffers.
 */
#define MEMLOCK_WANTED (UINT64_C(64) << 20)

/* ---- small files */

__attribute__((format(printf, 2, 3))) static void make_path(char path[PATH_BYTES],
							    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(path, PATH_BYTES, format, args);
	va_end(args);
}

static int read_text(const char *path, char *text, size_t size)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

static int read_hex(const char *root, const char *address, const char *name, uint32_t *ret_number)
{
	char path[PATH_BYTES], text[32];
	int r;

	make_path(path, "%s/sys/bus/pci/devices/%s/%s", root, address, name);
	r = read_text(path, text, sizeof(text));
	if (r == 0)
		*ret_number = (uint32_t)strtoul(text, NULL, 16);
	return r;
}

/* Of a link in sysfs only the last name counts. */
static int read_link(const char *root, const char *address, const char *name, char *ret_last,
		     size_t size)
{
	char path[PATH_BYTES], to[PATH_BYTES];
	const char *slash;
	ssize_t n;

	make_path(path, "%s/sys/bus/pci/devices/%s/%s", root, address, name);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	slash = strrchr(to, '/');
	snprintf(ret_last, size, "%.*s", (int)size - 1, slash ? slash + 1 : to);
	return 0;
}

static bool exists(const char *root, const char *path)
{
	char full[PATH_BYTES];

	make_path(full, "%s%s", root, path);
	return access(full, F_OK) == 0;
}

/* ---- a function */

static bool fits(const char *text, const char *pattern)
{
	for (; *pattern; text++, pattern++)
		if (*pattern == 'x' ? !isxdigit((unsigned char)*text) : *text != *pattern)
			return false;
	return *text == '\0';
}

int pci_address_parse(const char *text, char ret_address[PCI_ADDRESS_BYTES])
{
	bool full = fits(text, "xxxx:xx:xx.x");

	if (!full && !fits(text, "xx:xx.x"))
		return -EINVAL;
	snprintf(ret_address, PCI_ADDRESS_BYTES, "%s%s", full ? "" : "0000:", text);
	for (char *p = ret_address; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return 0;
}

/* The kernel lets these be: they drive nothing. */
static bool is_viable(const char *driver)
{
	static const char *const harmless[] = { "", "vfio-pci", "pci-stub", "pcieport" };

	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strcmp(driver, harmless[i]) == 0)
			return true;
	return false;
}

static void add_mate(const char *root, const char *address, struct pci_function *f)
{
	uint32_t class_code = 0;
	struct pci_mate m = { 0 };

	(void)read_hex(root, address, "class", &class_code);
	if (strcmp(address, f->address) == 0 || class_code >> 8 == CLASS_BRIDGE)
		return;
	snprintf(m.address, sizeof(m.address), "%.*s", ADDRESS_CHARS, address);
	(void)read_link(root, address, "driver", m.driver, sizeof(m.driver));
	if (f->n_mates < PCI_MATES)
		f->mates[f->n_mates] = m;
	f->n_mates++;
	if (!f->in_the_way.address[0] && !is_viable(m.driver))
		f->in_the_way = m;
}

/* VFIO's no-IOMMU mode makes a group of its own for what it is given; its node is another, too. */
static bool is_no_iommu_group(const char *root, int group)
{
	char path[PATH_BYTES], name[32] = "";

	make_path(path, "%s/sys/kernel/iommu_groups/%d/name", root, group);
	return read_text(path, name, sizeof(name)) == 0 &&
	       strncmp(name, "vfio-noiommu", strlen("vfio-noiommu")) == 0;
}

static void read_group(const char *root, struct pci_function *f)
{
	char text[32], path[PATH_BYTES], address[PCI_ADDRESS_BYTES];
	struct dirent *e;
	DIR *dir;

	f->group = -1;
	if (read_link(root, f->address, "iommu_group", text, sizeof(text)) < 0)
		return;
	if (is_no_iommu_group(root, atoi(text)))
		return;
	f->group = atoi(text);
	make_path(path, "%s/sys/kernel/iommu_groups/%d/devices", root, f->group);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (pci_address_parse(e->d_name, address) == 0)
			add_mate(root, address, f);
	if (dir)
		closedir(dir);
}

static uint16_t number16(const char *root, const char *address, const char *name)
{
	uint32_t number = 0;

	(void)read_hex(root, address, name, &number);
	return (uint16_t)number;
}

int pci_function_read(const char *root, const char *address, struct pci_function *ret_function)
{
	struct pci_function f = { .group = -1 };
	int r = pci_address_parse(address, f.address);

	if (r == 0)
		r = read_hex(root, f.address, "class", &f.class_code);
	if (r < 0)
		return r;
	f.vendor = number16(root, f.address, "vendor");
	f.device = number16(root, f.address, "device");
	f.subvendor = number16(root, f.address, "subsystem_vendor");
	f.subdevice = number16(root, f.address, "subsystem_device");
	(void)read_link(root, f.address, "driver", f.driver, sizeof(f.driver));
	read_group(root, &f);
	*ret_function = f;
	return 0;
}

/* ---- obstacles */

static bool no_iommu_mode(const char *root)
{
	char path[PATH_BYTES], text[8] = "";

	make_path(path, "%s/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", root);
	return read_text(path, text, sizeof(text)) == 0 && text[0] == 'Y';
}

static int why_no_iommu(const char *root, const struct pci_function *f, char why[HBA_BUS_WHY_BYTES])
{
	if (f->group >= 0)
		return 0;
	if (no_iommu_mode(root))
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "%s is behind no IOMMU; VFIO's no-IOMMU mode, which is on, is not "
			 "supported by this version",
			 f->address);
	else
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "%s is behind no IOMMU: turn it on in the firmware (VT-d, AMD-Vi), and "
			 "boot with intel_iommu=on on Intel's",
			 f->address);
	return 1;
}

static int why_no_module(const char *root, const struct pci_function *f,
			 char why[HBA_BUS_WHY_BYTES])
{
	(void)f;
	if (exists(root, "/dev/vfio/vfio") && exists(root, "/sys/bus/pci/drivers/vfio-pci"))
		return 0;
	if (exists(root, "/dev/iommu") && exists(root, "/sys/bus/pci/drivers/vfio-pci"))
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "this kernel offers iommufd only, which this version does not support: it "
			 "needs VFIO type 1 (/dev/vfio/vfio)");
	else
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "VFIO is not loaded: modprobe vfio_iommu_type1; modprobe vfio-pci");
	return 1;
}

static int why_busy(const char *root, const struct pci_function *f, char why[HBA_BUS_WHY_BYTES])
{
	(void)root;
	if (strcmp(f->driver, "vfio-pci") == 0)
		return 0;
	if (f->driver[0])
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "%s is driven by %s: unmount its disks, then give it to vfio-pci; `hbakit "
			 "pci' has the command",
			 f->address, f->driver);
	else
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "%s is not bound to vfio-pci; `hbakit pci' has the command", f->address);
	return 1;
}

static int why_shared(const char *root, const struct pci_function *f, char why[HBA_BUS_WHY_BYTES])
{
	const struct pci_mate *m = &f->in_the_way;

	(void)root;
	if (!m->address[0])
		return 0;
	snprintf(why, HBA_BUS_WHY_BYTES,
		 "IOMMU group %d also holds %s, driven by %s: give that to vfio-pci too, or move "
		 "the adapter to another slot",
		 f->group, m->address, m->driver);
	return 1;
}

static int why_no_permission(const char *root, const struct pci_function *f,
			     char why[HBA_BUS_WHY_BYTES])
{
	char path[PATH_BYTES];
	int error;

	make_path(path, "%s/dev/vfio/%d", root, f->group);
	if (f->group < 0 || strcmp(f->driver, "vfio-pci") != 0 || access(path, R_OK | W_OK) == 0)
		return 0;
	error = errno;
	if (error == ENOENT)
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "/dev/vfio/%d is not there: udev makes it; into a container it has to be "
			 "passed",
			 f->group);
	else if (error == EACCES || error == EPERM)
		snprintf(
			why, HBA_BUS_WHY_BYTES,
			"/dev/vfio/%d cannot be opened (%s): run as root, or chown %u /dev/vfio/%d",
			f->group, strerror(error), (unsigned)getuid(), f->group);
	return error == ENOENT || error == EACCES || error == EPERM;
}

static bool may_lock_all(const char *root)
{
	char path[PATH_BYTES], text[TEXT_BYTES];
	const char *line;

	make_path(path, "%s/proc/self/status", root);
	line = read_text(path, text, sizeof(text)) == 0 ? strstr(text, "CapEff:") : NULL;
	return line && (strtoull(line + strlen("CapEff:"), NULL, 16) >> CAP_IPC_LOCK_BIT & 1);
}

static int why_low_memlock(const char *root, const struct pci_function *f,
			   char why[HBA_BUS_WHY_BYTES])
{
	char path[PATH_BYTES], text[TEXT_BYTES];
	const char *line;
	unsigned long long bytes;

	(void)f;
	make_path(path, "%s/proc/self/limits", root);
	line = read_text(path, text, sizeof(text)) == 0 ? strstr(text, "Max locked memory") : NULL;
	if (!line || may_lock_all(root) || sscanf(line, "Max locked memory %llu", &bytes) != 1 ||
	    bytes >= MEMLOCK_WANTED)
		return 0;
	snprintf(why, HBA_BUS_WHY_BYTES,
		 "this user may lock %llu KiB of memory, and a device needs what it can reach "
		 "locked: ulimit -l %llu, or LimitMEMLOCK=",
		 bytes >> 10, (unsigned long long)MEMLOCK_WANTED >> 10);
	return 1;
}

int pci_obstacle_why(const char *root, const struct pci_function *f, enum pci_obstacle o,
		     char why[HBA_BUS_WHY_BYTES])
{
	static int (*const checks[PCI_OBSTACLES])(const char *root, const struct pci_function *f,
						  char why[HBA_BUS_WHY_BYTES]) = {
		[PCI_NO_IOMMU] = why_no_iommu,
		[PCI_NO_MODULE] = why_no_module,
		[PCI_BUSY] = why_busy,
		[PCI_SHARED] = why_shared,
		[PCI_NO_PERMISSION] = why_no_permission,
		[PCI_LOW_MEMLOCK] = why_low_memlock,
	};

	return checks[o](root, f, why);
}

void pci_bind_command(const struct pci_function *f, bool driverctl, char *text, size_t size)
{
	if (driverctl)
		snprintf(text, size, "driverctl --nosave set-override %s vfio-pci", f->address);
	else if (f->driver[0])
		snprintf(text, size,
			 "modprobe vfio-pci; cd /sys/bus/pci; echo vfio-pci > "
			 "devices/%s/driver_override; "
			 "echo %s > drivers/%s/unbind; echo %s > drivers_probe",
			 f->address, f->address, f->driver, f->address);
	else
		snprintf(text, size,
			 "modprobe vfio-pci; cd /sys/bus/pci; echo vfio-pci > "
			 "devices/%s/driver_override; echo %s > drivers_probe",
			 f->address, f->address);
}
