/* SPDX-License-Identifier: MIT */
/*
 * test-vfio-regions.c: BARs with holes, from a kernel that is played here: what may be mapped is,
 * what may not is read and written.
 *
 * The device is a memfd; only ioctl() is ours, and a count of the ways that go by the file.
 */
#include "bus/vfio.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	BAR_AT = 4 * VFIO_PAGE,
	BAR_BYTES = 4 * VFIO_PAGE,
	CONFIG_BYTES = 256,
	AREAS = VFIO_MOST_AREAS + 2,
	/* Registers in the first page, the hole (an MSI-X table), and behind it. */
	FIRST = 0x10,
	IN_HOLE = VFIO_PAGE + 0x10,
	BEHIND = 2 * VFIO_PAGE + 0x10,
};

static struct kernel {
	uint32_t flags, n_areas, said_areas;
	uint64_t bar_bytes;
	struct vfio_region_sparse_mmap_area areas[AREAS];
	unsigned by_file;
} kernel;

/* The program's own come before the C library's. */
ssize_t pread(int fd, void *data, size_t n, off_t at)
{
	kernel.by_file++;
	return syscall(SYS_pread64, fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	kernel.by_file++;
	return syscall(SYS_pwrite64, fd, data, n, at);
}

static void answer_bar(struct vfio_region_info *info, uint32_t room)
{
	struct vfio_region_info_cap_sparse_mmap *sparse = (void *)(info + 1);
	size_t areas = kernel.n_areas * sizeof(kernel.areas[0]);

	info->flags = kernel.flags;
	info->offset = BAR_AT;
	info->size = kernel.bar_bytes;
	if (!(kernel.flags & VFIO_REGION_INFO_FLAG_CAPS))
		return;
	info->argsz = (uint32_t)(sizeof(*info) + sizeof(*sparse) + areas);
	if (room < info->argsz)
		return;
	info->cap_offset = sizeof(*info);
	sparse->header = (struct vfio_info_cap_header) { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP,
							 .version = 1 };
	sparse->nr_areas = kernel.said_areas ? kernel.said_areas : kernel.n_areas;
	memcpy(sparse->areas, kernel.areas, areas);
}

int ioctl(int fd, unsigned long request, ...)
{
	struct vfio_region_info *info;
	va_list args;

	(void)fd;
	va_start(args, request);
	info = va_arg(args, struct vfio_region_info *);
	va_end(args);
	assert_int_equal(request, VFIO_DEVICE_GET_REGION_INFO);
	if (info->index == VFIO_PCI_CONFIG_REGION_INDEX)
		info->size = CONFIG_BYTES;
	else if (info->index == VFIO_PCI_BAR0_REGION_INDEX)
		answer_bar(info, info->argsz);
	else
		info->size = 0;
	return 0;
}

/* ---- the device */

static struct hba_bus_device *device_up(int *ret_error)
{
	struct hba_bus_device *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->device = memfd_create("device", MFD_CLOEXEC);
	assert_true(d->device >= 0);
	assert_int_equal(ftruncate(d->device, BAR_AT + BAR_BYTES), 0);
	*ret_error = vfio_learn_regions(d);
	return d;
}

static void device_down(struct hba_bus_device *d)
{
	vfio_unmap_bars(d);
	close(d->device);
	free(d);
}

static int fresh_kernel(void **state)
{
	(void)state;
	kernel = (struct kernel) { .flags = VFIO_REGION_INFO_FLAG_MMAP, .bar_bytes = BAR_BYTES };
	return 0;
}

static void add_area(uint64_t offset, uint64_t size)
{
	kernel.flags |= VFIO_REGION_INFO_FLAG_CAPS;
	kernel.areas[kernel.n_areas++] =
		(struct vfio_region_sparse_mmap_area) { .offset = offset, .size = size };
}

/* A register in each width keeps what is written; `by_file`: it takes that way. */
static void expect_register(struct hba_bus_device *d, uint64_t offset, bool by_file)
{
	unsigned before = kernel.by_file, ways = 0;

	for (unsigned width = 1; width <= 8; width *= 2) {
		uint64_t wanted = UINT64_C(0xf1e2d3c4b5a69788) >> (64 - 8 * width), value = 0;

		assert_int_equal(vfio_bar_write(d, 0, offset, width, wanted), 0);
		assert_int_equal(vfio_bar_read(d, 0, offset, width, &value), 0);
		assert_int_equal(value, wanted);
		ways += 2;
	}
	assert_int_equal(kernel.by_file - before, by_file ? ways : 0);
}

static struct hba_bus_device *mapped(bool whole)
{
	volatile void *mem = NULL;
	int error;
	struct hba_bus_device *d = device_up(&error);

	assert_int_equal(error, 0);
	assert_int_equal(vfio_bar_map(d, 0, &mem), 0);
	assert_int_equal(mem != NULL, whole);
	return d;
}

/* ---- tests */

static void without_holes_it_is_given_out_whole(void **state)
{
	struct hba_bus_device *d = mapped(true);

	(void)state;
	expect_register(d, FIRST, false);
	expect_register(d, BAR_BYTES - 8, false);
	device_down(d);
}

static void less_than_a_page_too(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	kernel.bar_bytes = 1024;
	d = mapped(true);
	expect_register(d, FIRST, false);
	device_down(d);
}

static void what_cannot_be_mapped_goes_by_the_file(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	kernel.flags = 0; /* an I/O BAR */
	d = mapped(false);
	expect_register(d, FIRST, true);
	device_down(d);
}

static void a_hole_goes_by_the_file_and_the_rest_does_not(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	add_area(2 * VFIO_PAGE, 2 * VFIO_PAGE); /* in no order */
	add_area(0, VFIO_PAGE);
	d = mapped(false);
	expect_register(d, FIRST, false);
	expect_register(d, IN_HOLE, true);
	expect_register(d, BEHIND, false);
	expect_register(d, BAR_BYTES - 8, false);
	device_down(d);
}

static void one_area_that_is_all_of_it_is_no_hole(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	add_area(0, BAR_BYTES);
	d = mapped(true);
	expect_register(d, IN_HOLE, false);
	device_down(d);
}

static void no_areas_are_one_hole(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	kernel.flags |= VFIO_REGION_INFO_FLAG_CAPS;
	d = mapped(false);
	expect_register(d, FIRST, true);
	device_down(d);
}

static void areas_that_cannot_be_are_left_out(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	add_area(BAR_BYTES, VFIO_PAGE);
	add_area(VFIO_PAGE, UINT64_MAX - VFIO_PAGE + 1);
	add_area(16, VFIO_PAGE);
	add_area(0, 0);
	add_area(2 * VFIO_PAGE, VFIO_PAGE);
	d = mapped(false);
	expect_register(d, FIRST, true);
	expect_register(d, BEHIND, false);
	device_down(d);
}

static void more_areas_than_are_kept(void **state)
{
	struct hba_bus_device *d;

	(void)state;
	for (unsigned i = 0; i < AREAS; i++)
		add_area(i % 2 * VFIO_PAGE, VFIO_PAGE);
	d = mapped(false);
	expect_register(d, FIRST, false);
	expect_register(d, BEHIND, true);
	device_down(d);
}

static void a_list_that_ends_before_its_count_is_refused(void **state)
{
	struct hba_bus_device *d;
	int error;

	(void)state;
	add_area(0, VFIO_PAGE);
	kernel.said_areas = UINT32_MAX;
	d = device_up(&error);
	assert_int_equal(error, -EPROTO);
	device_down(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_holes_it_is_given_out_whole, fresh_kernel),
		cmocka_unit_test_setup(less_than_a_page_too, fresh_kernel),
		cmocka_unit_test_setup(what_cannot_be_mapped_goes_by_the_file, fresh_kernel),
		cmocka_unit_test_setup(a_hole_goes_by_the_file_and_the_rest_does_not, fresh_kernel),
		cmocka_unit_test_setup(one_area_that_is_all_of_it_is_no_hole, fresh_kernel),
		cmocka_unit_test_setup(no_areas_are_one_hole, fresh_kernel),
		cmocka_unit_test_setup(areas_that_cannot_be_are_left_out, fresh_kernel),
		cmocka_unit_test_setup(more_areas_than_are_kept, fresh_kernel),
		cmocka_unit_test_setup(a_list_that_ends_before_its_count_is_refused, fresh_kernel),
	};

	return cmocka_run_group_tests_name("vfio-regions", tests, NULL, NULL);
}
