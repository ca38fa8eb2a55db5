/* SPDX-License-Identifier: MIT */
/*
 * qemu.c: one of QEMU's device models as a real device, without a guest:
 * qemu:MODEL?drive=FILE&drive=FILE…
 *
 * MODEL is QEMU's name of a PCI device, with properties if need be: qemu:megasas,msi=off. No list
 * of models is kept here.
 *
 *	our process                     qemu-system-x86_64
 *	  memfd, mapped ─────────────── the machine's RAM, which the device reads and writes
 *	  qtest over a socketpair ───── registers, config space
 *
 * The CPU halts in a ROM of our own, so only we touch the device. A bus address is an offset into
 * the RAM, so memory of others cannot be mapped. QEMU dies with us; a pidfd, or the socket, shows
 * us its death.
 *
 * Interrupts are messages to the doorbell of a second device in the machine, which rings an eventfd
 * of ours (doorbell.c). A chip that has only a pin is slower: its changes are lines on the qtest
 * socket, so that each write must be waited for (qtest.c).
 */
#include "bus/qemu.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	RAM_BEGIN = 1 << 20, /* below lies what a PC keeps for itself */
	HBA_SLOT = 1,
	HBA_DEVFN = HBA_SLOT << 3,
	DOORBELL_DEVFN = 2 << 3,
	CONFIG_ADDRESS = 0xcf8, /* PCI configuration mechanism #1 */
	CONFIG_DATA = 0xcfc,
	PORT_CONFIG_BYTES = 256,
	PORT_BYTES = 4, /* the widest access to an I/O port */
	IO_WINDOW = 0xc000,
	DOORBELL_IO_WINDOW = 0xd000,
	FIRST_PCI_GSI = 20,
	PCI_GSIS = 4,
	ACCESS_MS = 5000, /* a silence when an answer is needed: nothing comes any more */
};
#define MEMORY_WINDOW   UINT32_C(0xc0000000)
#define DOORBELL_WINDOW UINT32_C(0xd0000000)
#define CONFIG_ENABLE   UINT32_C(0x80000000)
#define DEFAULT_MEMORY  (UINT64_C(256) << 20)
/* with the 16 MiB that are for data that are bounced */
#define LEAST_MEMORY    (UINT64_C(20) << 20)
#define MOST_MEMORY     (UINT64_C(2) << 30)

/** struct interrupts - The words of irq=. */
static const struct interrupts {
	const char *name;
	unsigned messages; /* enum pci_messages */
	bool pin;
	bool insists; /* without any the device is refused */
} kinds_of_interrupts[] = {
	{ "auto", PCI_MSIX | PCI_MSI, true, false },
	{ "msix", PCI_MSIX, false, true },
	{ "msi", PCI_MSI, false, true },
	{ "intx", 0, true, true },
	{ "none", 0, false, false },
};

struct hba_bus_device {
	struct qemu_process process;
	int events; /* the process has ended, or, while it `listens`, QEMU has sent something */
	bool listens;
	struct qtest qtest;
	struct doorbell doorbell;
	const struct interrupts *wanted;
	unsigned vectors;
	/*
	 * eventfd: the HBA's line has gone up; -1: its interrupts are messages, or there are none
	 */
	int pin;
	int ram_fd;
	uint64_t ram_bytes;
	struct iova_space ram; /* what is taken of it */
	char why[HBA_BUS_WHY_BYTES];
	struct pci_bar bars[PCI_BARS];
};

/* ---- the process */

static int watch(const struct hba_bus_device *d, int operation, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events };

	return epoll_ctl(d->events, operation, fd, &e) < 0 ? -errno : 0;
}

/* Without a pidfd, in an old kernel, the socket shows its death. */
static int watch_process(struct hba_bus_device *d)
{
	int r;

	d->events = epoll_create1(EPOLL_CLOEXEC);
	if (d->events < 0)
		return -errno;
	r = watch(d, EPOLL_CTL_ADD, d->qtest.fd, 0);
	return r < 0 || d->process.pidfd < 0 ? r
					     : watch(d, EPOLL_CTL_ADD, d->process.pidfd, EPOLLIN);
}

static int spawn(struct hba_bus_device *d, const char *model, const char *query, bool bare,
		 char why[HBA_BUS_WHY_BYTES])
{
	struct qemu_machine machine = { .model = model,
					.query = query,
					.bare = bare,
					.ram_bytes = d->ram_bytes,
					.ram = d->ram_fd,
					.doorbell = d->doorbell.device };
	autoclose int theirs = -1;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	d->qtest.fd = pair[0];
	machine.qtest = theirs = pair[1];
	r = qemu_process_start(&d->process, &machine, why);
	cleanup_close(&d->doorbell.device);
	d->doorbell.device = -1;
	return r < 0 ? r : watch_process(d);
}

/*
 * ---- writes: not waited for, but if QEMU answers none for a while, its answers wake the loop,
 * which sends the rest
 */

/* A pin's changes come at any time. */
static int watch_answers(struct hba_bus_device *d)
{
	bool listen = d->pin >= 0 || qtest_is_behind(&d->qtest);

	if (listen == d->listens)
		return 0;
	d->listens = listen;
	return watch(d, EPOLL_CTL_MOD, d->qtest.fd, listen ? EPOLLIN : 0);
}

/*
 * With a pin the answer is waited for: it would wake the loop, which arms the device before it
 * sleeps: a write whose answer wakes it …
 */
static int post(struct hba_bus_device *d, const char *command, uint64_t address, uint64_t value)
{
	int r = qtest_write(&d->qtest, command, address, value, ACCESS_MS);

	if (r == 0 && d->pin >= 0)
		r = qtest_settle(&d->qtest, ACCESS_MS);
	return r < 0 ? r : watch_answers(d);
}

/* ---- config space, by the two ports */

static int select_config(struct hba_bus_device *d, unsigned devfn, unsigned offset)
{
	return post(d, "outl", CONFIG_ADDRESS, CONFIG_ENABLE | devfn << 8 | (offset & ~3U));
}

static const char *word_for(const char *const words[4], unsigned width)
{
	return words[width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3];
}

static const char *const in_words[4] = { "inb", "inw", "inl", NULL };
static const char *const out_words[4] = { "outb", "outw", "outl", NULL };
static const char *const read_words[4] = { "readb", "readw", "readl", "readq" };
static const char *const write_words[4] = { "writeb", "writew", "writel", "writeq" };

static int read_config(struct hba_bus_device *d, unsigned devfn, unsigned offset, unsigned width,
		       uint32_t *ret_value)
{
	uint64_t value;
	int r = select_config(d, devfn, offset);

	if (r == 0)
		r = qtest_read(&d->qtest, word_for(in_words, width), CONFIG_DATA + (offset & 3),
			       ACCESS_MS, &value);
	if (r == 0)
		*ret_value = (uint32_t)value;
	return r;
}

static int write_config(struct hba_bus_device *d, unsigned devfn, unsigned offset, unsigned width,
			uint32_t value)
{
	int r = select_config(d, devfn, offset);

	return r < 0 ? r : post(d, word_for(out_words, width), CONFIG_DATA + (offset & 3), value);
}

/* The two ports do not reach the extended space: they would read other registers. */
static int qemu_config_read(struct hba_bus_device *d, unsigned offset, unsigned width,
			    uint32_t *ret_value)
{
	if (offset < PORT_CONFIG_BYTES)
		return read_config(d, HBA_DEVFN, offset, width, ret_value);
	*ret_value = UINT32_MAX;
	return 0;
}

static int qemu_config_write(struct hba_bus_device *d, unsigned offset, unsigned width,
			     uint32_t value)
{
	return offset >= PORT_CONFIG_BYTES ? 0 : write_config(d, HBA_DEVFN, offset, width, value);
}

/* One of the machine's functions, for what every PCI function has. */
struct function {
	struct hba_bus_device *d;
	unsigned devfn;
	struct pci_bar *bars;
};

static int access_read(void *arg, unsigned offset, unsigned width, uint32_t *ret_value)
{
	const struct function *f = arg;

	return read_config(f->d, f->devfn, offset, width, ret_value);
}

static int access_write(void *arg, unsigned offset, unsigned width, uint32_t value)
{
	const struct function *f = arg;

	return write_config(f->d, f->devfn, offset, width, value);
}

static int access_bar_write(void *arg, unsigned bar, uint64_t offset, uint32_t value)
{
	const struct function *f = arg;

	if (bar >= PCI_BARS || f->bars[bar].io || f->bars[bar].length < sizeof(value) ||
	    offset > f->bars[bar].length - sizeof(value))
		return -EPROTO;
	return post(f->d, "writel", f->bars[bar].base + offset, value);
}

/* ---- open and close */

static int make_ram(struct hba_bus_device *d, const char *query, char why[HBA_BUS_WHY_BYTES])
{
	char text[32];
	uint64_t bytes = DEFAULT_MEMORY;
	int r = query_last(query, "memory", text, sizeof(text));

	if (r < 0 || (r > 0 && (parse_size(text, &bytes) < 0 || bytes % (1 << 20) ||
				bytes < LEAST_MEMORY || bytes > MOST_MEMORY))) {
		snprintf(why, HBA_BUS_WHY_BYTES, "memory= is a number of MiB from 20M to 2G");
		return -EINVAL;
	}
	d->ram_bytes = bytes;
	d->ram_fd = memfd_create("hbakit-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->ram_fd < 0 || ftruncate(d->ram_fd, (off_t)bytes) < 0)
		return -errno;
	if (fcntl(d->ram_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	return iova_space_allow(&d->ram, RAM_BEGIN, bytes - 1);
}

static int choose_interrupts(struct hba_bus_device *d, const char *query,
			     char why[HBA_BUS_WHY_BYTES])
{
	char text[8] = "auto";
	int r = query_last(query, "irq", text, sizeof(text));

	for (size_t i = 0; i < ARRAY_SIZE(kinds_of_interrupts) && r >= 0; i++)
		if (strcmp(text, kinds_of_interrupts[i].name) == 0)
			d->wanted = &kinds_of_interrupts[i];
	if (!d->wanted) {
		snprintf(
			why, HBA_BUS_WHY_BYTES,
			"irq= is auto (MSI-X, or else MSI, or else INTx), msix, msi, intx or none");
		return -EINVAL;
	}
	return d->wanted->messages ? doorbell_open(&d->doorbell) : 0;
}

static struct pci_access access_to(struct function *f)
{
	return (struct pci_access) { access_read, access_write, access_bar_write, f };
}

/* Vectors of the HBA ring the doorbell. Bus master is off still: until it is on, none comes. */
static int enable_messages(struct hba_bus_device *d, const struct pci_access *hba)
{
	struct pci_bar bars[PCI_BARS];
	struct function f = { d, DOORBELL_DEVFN, bars };
	struct pci_access doorbell = access_to(&f);
	int r = pci_place_bars(&doorbell, DOORBELL_WINDOW, DOORBELL_IO_WINDOW, bars);

	if (r == 0)
		r = write_config(d, DOORBELL_DEVFN, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	return r < 0 ? r
		     : pci_enable_messages(hba, d->wanted->messages, DOORBELL_VECTORS,
					   (uint32_t)bars[0].base + DOORBELL_REGISTER);
}

/*
 * Pin A of slot n is the n-th of the four inputs of the I/O APIC that q35's slots share, pin B the
 * next, and so on. The four begin at GSI 20 (QEMU, hw/isa/lpc_ich9.c, ich9_lpc_map_irq).
 */
static int enable_pin(struct hba_bus_device *d)
{
	uint32_t pin = 0;
	int r = qemu_config_read(d, PCI_INTERRUPT_PIN, 1, &pin);

	if (r < 0 || pin == 0)
		return r;
	d->pin = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->pin < 0)
		return -errno;
	r = qtest_intercept(&d->qtest, FIRST_PCI_GSI + (HBA_SLOT + pin - 1) % PCI_GSIS, d->pin,
			    ACCESS_MS);
	if (r == 0)
		r = watch_answers(d);
	return r < 0 ? r : 1;
}

static int enable_interrupts(struct hba_bus_device *d, const struct pci_access *hba,
			     char why[HBA_BUS_WHY_BYTES])
{
	int r = d->wanted->messages ? enable_messages(d, hba) : 0;

	if (r == 0 && d->wanted->pin)
		r = enable_pin(d);
	if (r == 0 && d->wanted->insists) {
		snprintf(why, HBA_BUS_WHY_BYTES,
			 "irq=%s: the model offers none of these; without irq= the best there is "
			 "will be used",
			 d->wanted->name);
		return -ENOENT;
	}
	if (r > 0)
		d->vectors = (unsigned)r;
	return r < 0 ? r : 0;
}

static int set_up_device(struct hba_bus_device *d, char why[HBA_BUS_WHY_BYTES])
{
	struct function f = { d, HBA_DEVFN, d->bars };
	struct pci_access hba = access_to(&f);
	int r = pci_place_bars(&hba, MEMORY_WINDOW, IO_WINDOW, d->bars);

	if (r == 0)
		r = qemu_config_write(d, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	return r < 0 ? r : enable_interrupts(d, &hba, why);
}

static int read_ids(struct hba_bus_device *d, struct hba_bus_info *ret_info)
{
	uint32_t id = 0, subsystem = 0;
	int r = qemu_config_read(d, PCI_ID, 4, &id);

	if (r == 0)
		r = qemu_config_read(d, PCI_SUBSYSTEM, 4, &subsystem);
	if (r == 0)
		*ret_info = (struct hba_bus_info) {
			.vendor = (uint16_t)id,
			.device = (uint16_t)(id >> 16),
			.subvendor = (uint16_t)subsystem,
			.subdevice = (uint16_t)(subsystem >> 16),
		};
	return r;
}

/* QEMU's first answer takes as long as its start. */
static int wait_for_machine(struct hba_bus_device *d)
{
	uint64_t ignored;

	return qtest_read(&d->qtest, "inb", 0x80, QEMU_BOOT_MS, &ignored);
}

static int bring_up(struct hba_bus_device *d, struct hba_bus_info *info,
		    char why[HBA_BUS_WHY_BYTES])
{
	int r = wait_for_machine(d);

	if (r == 0)
		r = read_ids(d, info);
	if (r == 0)
		r = set_up_device(d, why);
	if (r < 0)
		return r;
	info->page_bytes = PAGE;
	info->facts = HBA_BUS_IOVA_IS_PHYSICAL | (d->vectors && d->pin < 0 ? HBA_BUS_MSI : 0);
	info->vectors = d->vectors;
	for (unsigned i = 0; i < PCI_BARS; i++)
		info->bar_length[i] = d->bars[i].length;
	return 0;
}

static void qemu_close(struct hba_bus_device *d)
{
	qemu_process_end(&d->process);
	cleanup_close(&d->events);
	doorbell_close(&d->doorbell);
	cleanup_close(&d->pin);
	cleanup_close(&d->qtest.fd);
	cleanup_close(&d->ram_fd);
	iova_space_free(&d->ram);
	free(d);
}

static int new_device(const char *query, struct hba_bus_device **ret_device,
		      char why[HBA_BUS_WHY_BYTES])
{
	struct hba_bus_device *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	qtest_init(&d->qtest);
	d->ram_fd = d->events = d->pin = -1;
	qemu_process_init(&d->process);
	doorbell_init(&d->doorbell);
	r = make_ram(d, query, why);
	if (r < 0) {
		qemu_close(d);
		return r;
	}
	*ret_device = d;
	return 0;
}

/* Why a start came to nothing: the end of QEMU has reasons of its own. */
static int why_not(struct hba_bus_device *d, int r, char why[HBA_BUS_WHY_BYTES])
{
	return r == -ENODEV ? qemu_process_why_silent(&d->process, QEMU_END_MS, why) : r;
}

/* There is no list of models here: a QEMU that has nothing but the device gives the chip's ids. */
static int qemu_identify(const char *path, const char *query, struct hba_bus_info *ret_info,
			 char why[HBA_BUS_WHY_BYTES])
{
	struct hba_bus_device *d;
	int r = new_device(query, &d, why);

	if (r < 0)
		return r;
	r = spawn(d, path, query, true, why);
	if (r == 0)
		r = wait_for_machine(d);
	if (r == 0)
		r = read_ids(d, ret_info);
	r = why_not(d, r, why);
	qemu_close(d);
	return r;
}

static int qemu_open(const char *path, const char *query, struct hba_bus_info *ret_info,
		     char why[HBA_BUS_WHY_BYTES], struct hba_bus_device **ret_device)
{
	struct hba_bus_device *d;
	int r = new_device(query, &d, why);

	if (r < 0)
		return r;
	r = choose_interrupts(d, query, why);
	if (r == 0)
		r = spawn(d, path, query, false, why);
	if (r == 0)
		r = bring_up(d, ret_info, why);
	if (r < 0) {
		r = why_not(d, r, why);
		qemu_close(d);
		return r;
	}
	*ret_device = d;
	return 0;
}

/* ---- registers */

static int qemu_bar_read(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
			 uint64_t *ret_value)
{
	const struct pci_bar *b = &d->bars[bar];
	uint64_t low, high;
	int r;

	if (!b->io || width <= PORT_BYTES)
		return qtest_read(&d->qtest, word_for(b->io ? in_words : read_words, width),
				  b->base + offset, ACCESS_MS, ret_value);
	/* No port has 64 bits: the CPU of a PC would read two. */
	r = qtest_read(&d->qtest, "inl", b->base + offset, ACCESS_MS, &low);
	if (r == 0)
		r = qtest_read(&d->qtest, "inl", b->base + offset + PORT_BYTES, ACCESS_MS, &high);
	if (r == 0)
		*ret_value = high << 32 | low;
	return r;
}

static int qemu_bar_write(struct hba_bus_device *d, unsigned bar, uint64_t offset, unsigned width,
			  uint64_t value)
{
	const struct pci_bar *b = &d->bars[bar];
	int r;

	if (!b->io || width <= PORT_BYTES)
		return post(d, word_for(b->io ? out_words : write_words, width), b->base + offset,
			    value);
	r = post(d, "outl", b->base + offset, (uint32_t)value);
	return r < 0 ? r : post(d, "outl", b->base + offset + PORT_BYTES, value >> 32);
}

/*
 * ---- memory: pieces of the RAM, each taken when it is allocated, and free again when it is
 * unmapped, or could not be mapped
 */

static int qemu_alloc_memory(struct hba_bus_device *d, size_t length, int *ret_fd,
			     uint64_t *ret_offset)
{
	autoclose int fd = fcntl(d->ram_fd, F_DUPFD_CLOEXEC, 0);
	int r = fd < 0 ? -errno : iova_take(&d->ram, round_up(length, PAGE), PAGE, 64, ret_offset);

	if (r == -ENOSPC) {
		snprintf(d->why, sizeof(d->why),
			 "of the machine's %llu MiB there are no %zu bytes left in one piece: "
			 "memory= gives it more",
			 (unsigned long long)d->ram_bytes >> 20, length);
		return -ENOMEM;
	}
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

/* Its next owner finds zeros, and until then it costs no memory. */
static int qemu_unmap_memory(struct hba_bus_device *d, struct hba_iova iova, size_t length)
{
	if (fallocate(d->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)iova.bus,
		      (off_t)length) < 0)
		return -errno;
	iova_give_back(&d->ram, iova.bus);
	return 0;
}

static int qemu_map_memory(struct hba_bus_device *d, int fd, uint64_t offset, size_t length,
			   unsigned bits, struct hba_iova *ret_iova)
{
	(void)fd;
	if (bits < 64 && offset + length > UINT64_C(1) << bits) {
		iova_give_back(&d->ram, offset);
		return -ENOSPC;
	}
	*ret_iova = (struct hba_iova) { offset };
	return 0;
}

static int qemu_bus_master(struct hba_bus_device *d, bool on, unsigned ms)
{
	uint32_t command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0);
	int r = qemu_config_write(d, PCI_COMMAND, 2, command);

	/* Off means off: the device model has seen it when QEMU has answered. */
	return r < 0 ? r : qtest_settle(&d->qtest, ms);
}

static int qemu_vector_fd(struct hba_bus_device *d, unsigned vector)
{
	if (vector >= d->vectors)
		return -1;
	return d->pin >= 0 ? d->pin : d->doorbell.fds[vector];
}

/* A pin that is still up fires again. */
static void qemu_vector_served(struct hba_bus_device *d, unsigned vector)
{
	(void)vector;
	if (d->pin >= 0 && d->qtest.line_is_up)
		eventfd_write(d->pin, 1);
}

static int qemu_event_fd(struct hba_bus_device *d)
{
	return d->events;
}

/* A pidfd is readable when its process has ended. */
static int qemu_take_event(struct hba_bus_device *d)
{
	struct pollfd p = { .fd = d->process.pidfd, .events = POLLIN };
	int r = poll(&p, 1, 0) > 0 ? -ENODEV : qtest_catch_up(&d->qtest);

	d->why[0] = '\0'; /* that was of memory */
	return r < 0 ? r : watch_answers(d);
}

static const char *qemu_why(const struct hba_bus_device *d)
{
	return d->why[0] ? d->why : NULL;
}

static const struct hba_option qemu_options[] = {
	{ "drive", NULL,
	  "FILE, null-co:// or json:{…}, then ,target=N ,lun=N ,iops=N ,block=4096 ,rerror=stop "
	  ",werror=stop; %2c is a comma; again for more" },
	{ "irq", "auto",
	  "interrupts: auto (the best there are), msix, msi, intx, or none (polled)" },
	{ "memory", "256M",
	  "what the device can reach: rings, HBA data, bounce space, an application's buffers" },
	{ "qemu", "qemu-system-x86_64", "the program" },
	{ "qmp", NULL, "a UNIX socket to be made: QEMU's monitor, for hot plug and the like" },
	{ 0 },
};

const struct hba_bus bus_qemu = {
	HBA_BUS_HEADER,
	.name = "qemu",
	.summary = "an adapter that QEMU models, without a guest",
	.options = qemu_options,
	.identify = qemu_identify,
	.open = qemu_open,
	.close = qemu_close,
	.config_read = qemu_config_read,
	.config_write = qemu_config_write,
	.bar_read = qemu_bar_read,
	.bar_write = qemu_bar_write,
	.alloc_memory = qemu_alloc_memory,
	.map_memory = qemu_map_memory,
	.unmap_memory = qemu_unmap_memory,
	.vector_fd = qemu_vector_fd,
	.event_fd = qemu_event_fd,
	.bus_master = qemu_bus_master,
	.take_event = qemu_take_event,
	.vector_served = qemu_vector_served,
	.why = qemu_why,
};
