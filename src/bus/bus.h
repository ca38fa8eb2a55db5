/* SPDX-License-Identifier: MIT */
/*
 * bus.h: the back ends that reach a device. The registry lists them. Below, what is the same for
 * all of them.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <hbakit/bus.h>

extern const struct hba_bus bus_qemu; /* qemu.c */
extern const struct hba_bus bus_vfio; /* vfio.c */

/* ---- iova.c: which addresses of an IOMMU are taken */

struct iova_span {
	uint64_t first, last; /* both belong to it */
};

/** struct iova_space - Zeroed it allows nothing. Both lists are sorted; one user at a time. */
struct iova_space {
	struct iova_span *valid, *taken;
	size_t n_valid, n_taken;
};

/** iova_space_allow() - Addresses may be taken from here. -ENOMEM, -EINVAL. */
int iova_space_allow(struct iova_space *s, uint64_t first, uint64_t last);
/**
 * iova_take() - `length` bytes below 2^bits; above 4 GiB if that can be. -ENOSPC: there is no room.
 */
int iova_take(struct iova_space *s, uint64_t length, uint64_t alignment, unsigned bits,
	      uint64_t *ret_first);
/**
 * iova_claim() - Exactly these. -ENOSPC: the IOMMU has no such addresses; -EBUSY: they are taken.
 */
int iova_claim(struct iova_space *s, uint64_t first, uint64_t length);
void iova_give_back(struct iova_space *s, uint64_t first);
void iova_space_free(struct iova_space *s);

/*
 * ---- sysfs.c: the system's facts about a PCI function, and each reason why VFIO would refuse it
 */

enum { PCI_ADDRESS_BYTES = 16, PCI_DRIVER_BYTES = 32, PCI_MATES = 16 };

/** struct pci_function - As /sys/bus/pci/devices has it. */
struct pci_function {
	char address[PCI_ADDRESS_BYTES]; /* "0000:03:00.0" */
	uint16_t vendor, device, subvendor, subdevice;
	uint32_t class_code;           /* 24 bits: class, subclass, interface */
	char driver[PCI_DRIVER_BYTES]; /* today's; empty: none */
	/* IOMMU group; -1: there is no IOMMU for it, be it in VFIO's no-IOMMU mode */
	int group;
	/* others in the group, bridges not counted; more than PCI_MATES are counted only */
	unsigned n_mates;
	struct pci_mate {
		char address[PCI_ADDRESS_BYTES], driver[PCI_DRIVER_BYTES];
		/* the latter: one of them that the kernel drives; no address: there is none */
	} mates[PCI_MATES], in_the_way;
};

/** enum pci_obstacle - In the order in which they have to be removed. */
enum pci_obstacle {
	PCI_NO_IOMMU,
	PCI_NO_MODULE,
	PCI_BUSY,   /* another driver has it, or none */
	PCI_SHARED, /* the kernel drives another function of the group */
	PCI_NO_PERMISSION,
	PCI_LOW_MEMLOCK, /* it opens, but little memory can be mapped */
	PCI_OBSTACLES,
};

/** pci_address_parse() - "0000:03:00.0", or "03:00.0" in domain 0; in full into *ret. -EINVAL. */
int pci_address_parse(const char *text, char ret_address[PCI_ADDRESS_BYTES]);
/**
 * pci_function_read() - `root` is "", or where a test keeps its sys, dev and proc. -ENOENT: there
 * is no such function.
 */
int pci_function_read(const char *root, const char *address, struct pci_function *ret_function);
/** pci_obstacle_why() - Is this obstacle there? 1, and a sentence with the remedy; 0: it is not. */
int pci_obstacle_why(const char *root, const struct pci_function *f, enum pci_obstacle o,
		     char why[HBA_BUS_WHY_BYTES]);
/** pci_bind_command() - What a person types to give it to vfio-pci. */
void pci_bind_command(const struct pci_function *f, bool driverctl, char *text, size_t size);

/* ---- qtest.c: QEMU's qtest protocol over a socket */

enum { QTEST_KEPT_BYTES = 64 * 1024 /* some 2500 writes */ };

/**
 * struct qtest - One connection. Writes are posted: their answers are collected when there is time,
 * or before the next read. While QEMU does not answer those that are out, further ones are kept
 * here, and sent as its answers come.
 */
struct qtest {
	int fd;            /* -1: none, or lost */
	unsigned posted;   /* answers that are still to come */
	char buffer[4096]; /* what has arrived and is not used */
	size_t used;
	char kept[QTEST_KEPT_BYTES]; /* whole lines that are not sent yet */
	size_t n_kept;
	/* qtest_intercept(): an eventfd that counts the times the line went up; -1: none */
	int line_fd;
	unsigned line; /* which one */
	bool line_is_up;
};

void qtest_init(struct qtest *q);

/* 0; -ENODEV: QEMU has gone, or does not answer within `ms`; -EPROTO: it refused. */
int qtest_read(struct qtest *q, const char *command, uint64_t address, unsigned ms,
	       uint64_t *ret_value);
/* Waits only when no more writes can be kept. */
int qtest_write(struct qtest *q, const char *command, uint64_t address, uint64_t value,
		unsigned ms);
/** qtest_settle() - Wait for every answer that is still to come. */
int qtest_settle(struct qtest *q, unsigned ms);
/**
 * qtest_intercept() - From now on QEMU reports the interrupt lines into its I/O APIC, and `fd`
 * counts when `line` goes up.
 *
 * Messages about lines come at any time, between the answers: after this the socket is readable
 * when there may be one. Otherwise as qtest_read().
 */
int qtest_intercept(struct qtest *q, unsigned line, int fd, unsigned ms);
/** qtest_is_behind() - Writes are kept: when answers come, qtest_catch_up() is to send them. */
bool qtest_is_behind(const struct qtest *q);
/**
 * qtest_catch_up() - Take the answers that are there, and send as many writes as that allows. Never
 * waits. 0, or -ENODEV.
 */
int qtest_catch_up(struct qtest *q);

/* ---- pci.c: config space as every PCI device has it (PCI 3.0, 6.1 and 6.2.5) */

enum pci_register {
	PCI_ID = 0x00,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_BAR_0 = 0x10,
	PCI_SUBSYSTEM = 0x2c,
	PCI_CAPABILITIES = 0x34,
	PCI_INTERRUPT_PIN = 0x3d, /* 1..4: INTA..INTD; 0: none */
};

enum pci_command {
	PCI_COMMAND_IO = 0x1,
	PCI_COMMAND_MEMORY = 0x2,
	PCI_COMMAND_MASTER = 0x4,
	PCI_COMMAND_NO_INTX = 0x400
};

enum { PCI_BARS = 6 };

/** struct pci_bar - Where a BAR has been put. */
struct pci_bar {
	bool io;
	uint64_t base, length; /* length 0: there is none */
};

/** struct pci_access - How config space is reached. 0 or negative errno. */
struct pci_access {
	int (*read)(void *arg, unsigned offset, unsigned width, uint32_t *ret_value);
	int (*write)(void *arg, unsigned offset, unsigned width, uint32_t value);
	/* for pci_enable_messages() */
	int (*bar_write)(void *arg, unsigned bar, uint64_t offset, uint32_t value);
	void *arg;
};

/**
 * pci_place_bars() - For a device that no firmware has set up: size every BAR and give it a place,
 * from these addresses on.
 */
int pci_place_bars(const struct pci_access *a, uint32_t memory, uint32_t io,
		   struct pci_bar bars[PCI_BARS]);

enum pci_messages { PCI_MSI = 1, PCI_MSIX = 2 };

/**
 * pci_enable_messages() - pci-msi.c: of these kinds MSI-X, or else MSI: vector v writes the number
 * v to `address`. How many there are, up to `most`; 0: the function has none of them.
 */
int pci_enable_messages(const struct pci_access *a, unsigned kinds, unsigned most,
			uint32_t address);

/* ---- doorbell.c: a device model's messages as eventfds */

enum { DOORBELL_VECTORS = 8, DOORBELL_REGISTER = 12 /* in BAR 0 of the ivshmem-doorbell device */ };

struct doorbell {
	int fds[DOORBELL_VECTORS]; /* eventfds: one per vector */
	/* our end; the end for QEMU to inherit, as the chardev of the device */
	int server, device;
};

void doorbell_init(struct doorbell *b);
/** doorbell_open() - 0 or negative errno. The socket then holds all that the device reads. */
int doorbell_open(struct doorbell *b);
/** doorbell_close() - Also one that was only initialised. */
void doorbell_close(struct doorbell *b);

#endif
