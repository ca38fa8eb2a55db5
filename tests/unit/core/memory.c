/* SPDX-License-Identifier: MIT */
/*
 * memory.c: buffers and mappings of an application, in two steps or one, imported, and let go in
 * any order.
 */
#include "core/controller/controller.h"

#include "lib/test-driver.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static bool is_zero(const uint8_t *bytes, size_t n)
{
	while (n && *bytes == 0)
		bytes++, n--;
	return n == 0;
}

static void two_steps(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	unsigned fds = test_fds();
	struct hba_mapping *a = NULL, *b = NULL;
	struct hba_buffer *buffer = NULL;

	(void)state;
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 10000, 512, &buffer), 0);
	assert_int_equal(hba_buffer_map(buffer, &a), 0);
	assert_int_equal(hba_buffer_map(buffer, &b), 0);
	assert_int_equal(hba_mapping_length(a), 10000);
	assert_true(is_zero(hba_mapping_address(a), 10000));
	assert_int_not_equal(hba_mapping_region(a), hba_mapping_region(b));
	memset(hba_mapping_address(a), 0x5a, 10000);
	/* one memory, twice */
	assert_memory_equal(hba_mapping_address(a), hba_mapping_address(b), 10000);
	/* The memory lives on while a mapping has it. */
	hba_buffer_release(buffer);
	assert_int_equal(hba_mapping_release(a), 0);
	assert_int_equal(((uint8_t *)hba_mapping_address(b))[9999], 0x5a);
	assert_int_equal(hba_mapping_release(b), 0);
	assert_int_equal(test_fds(), fds);
	test_down(d, c);
}

static void one_range_for_the_device(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct hba_mapping *m[20];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++) {
		size_t alignment = (size_t)1 << i % 13, length = 1 + i * 3001;

		assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, length, alignment, &m[i]),
				 0);
		assert_int_equal((uintptr_t)hba_mapping_address(m[i]) % alignment, 0);
		assert_int_equal(hba_mapping_iova(m[i]).bus % alignment, 0);
		memset(hba_mapping_address(m[i]), (int)i, length);
		/*
		 * Without a bus the device is this process: its first and last byte lie where the
		 * range says.
		 */
		assert_int_equal(*(uint8_t *)(uintptr_t)hba_mapping_iova(m[i]).bus, i);
		assert_int_equal(
			*(uint8_t *)(uintptr_t)hba_iova_at(hba_mapping_iova(m[i]), length - 1).bus,
			i);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(m); i++)
		/* none overlaps another */
		assert_int_equal(((uint8_t *)hba_mapping_address(m[i]))[i * 3001], i);
	for (unsigned i = 0; i < ARRAY_SIZE(m); i += 2)
		assert_int_equal(hba_mapping_release(m[i]), 0);
	/* The others end with the controller. */
	test_down(d, c);
}

static void numbers_are_not_used_again(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	uint32_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		struct hba_mapping *m = NULL;

		assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, 64, 0, &m), 0);
		assert_true(hba_mapping_region(m) > last);
		last = hba_mapping_region(m);
		assert_ptr_equal(memory_region(&c->memory, last), m);
		assert_int_equal(hba_mapping_release(m), 0);
		assert_null(memory_region(&c->memory, last));
	}
	test_down(d, c);
}

static void impossible(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_open(d, NULL);
	struct hba_buffer *b = NULL;

	(void)state;
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 64, 0, &b), -ENODEV);
	assert_string_equal(hba_error(),
			    "test:: memory can be taken once the controller is started");
	assert_int_equal(hba_controller_start(c), 0);
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 0, 0, &b), -EINVAL);
	assert_string_equal(hba_error(), "a buffer of 0 bytes, aligned to 0: capacity is 1 or "
					 "more, alignment a power of two up to 4096");
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 64, 3, &b), -EINVAL);
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 64, 8192, &b), -EINVAL);
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, SIZE_MAX, 0, &b), -EINVAL);
	assert_int_equal(hba_buffer_create(c, 0, 64, 0, &b), -EINVAL);
	assert_int_equal(hba_buffer_create(c, 4, 64, 0, &b), -EINVAL);
	assert_true(hba_buffer_create(c, HBA_DEVICE_BOTH, SIZE_MAX / 4, 0, &b) < 0);
	assert_null(b);
	hba_buffer_release(NULL);
	assert_int_equal(hba_mapping_release(NULL), 0);
	assert_int_equal(hba_controller_stop(c), 0);
	assert_int_equal(hba_buffer_create(c, HBA_DEVICE_BOTH, 64, 0, &b), -ENODEV);
	test_down(d, c);
}

/* ---- imported */

static int new_memfd(unsigned seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void imported(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	int fd = new_memfd(F_SEAL_SHRINK);
	struct hba_buffer *b = NULL;
	struct hba_mapping *m = NULL;
	unsigned fds = test_fds();
	char byte = 'x';

	(void)state;
	assert_int_equal(pwrite(fd, &byte, 1, PAGE), 1);
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_int_equal(hba_buffer_import(c, fd, PAGE, 2 * PAGE, &b), 0);
	/* the caller's own place in it is left alone */
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 7);
	assert_int_equal(hba_buffer_map(b, &m), 0);
	assert_int_equal(*(char *)hba_mapping_address(m), 'x');
	assert_int_equal(hba_mapping_length(m), 2 * PAGE);
	assert_int_equal(close(fd), 0); /* the caller's own */
	memset(hba_mapping_address(m), 'y', 2 * PAGE);
	assert_int_equal(hba_mapping_release(m), 0);
	hba_buffer_release(b);
	assert_int_equal(test_fds(), fds - 1);
	test_down(d, c);
}

static void refuse_import(struct hba_controller *c, int fd, uint64_t offset, size_t length,
			  int error)
{
	struct hba_buffer *b = NULL;
	unsigned fds = test_fds();

	assert_int_equal(hba_buffer_import(c, fd, offset, length, &b), error);
	assert_null(b);
	assert_int_equal(test_fds(), fds);
}

static void imports_that_cannot_be(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	int fd = new_memfd(F_SEAL_SHRINK), loose = new_memfd(0),
	    null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	refuse_import(c, loose, 0, PAGE, -EPERM);
	assert_string_equal(hba_error(), "imported memory is a memfd sealed against shrinking "
					 "(F_SEAL_SHRINK); this descriptor is not");
	refuse_import(c, null, 0, PAGE, -EPERM);
	refuse_import(c, -1, 0, PAGE, -EPERM);
	refuse_import(c, fd, 1, PAGE, -EINVAL);
	refuse_import(c, fd, 0, PAGE - 1, -EINVAL);
	refuse_import(c, fd, 0, 0, -EINVAL);
	assert_string_equal(hba_error(), "imported memory begins and ends on a page of 4096 bytes");
	refuse_import(c, fd, 0, 5 * PAGE, -EINVAL);
	assert_string_equal(hba_error(), "imported memory ends before offset 0 + length 20480");
	refuse_import(c, fd, 4 * PAGE, PAGE, -EINVAL);
	refuse_import(c, fd, UINT64_C(1) << 63, PAGE, -EINVAL);
	refuse_import(c, fd, UINT64_MAX - PAGE + 1, PAGE, -EINVAL);
	refuse_import(c, fd, PAGE, SIZE_MAX - PAGE + 1, -EINVAL);
	close(fd);
	close(loose);
	close(null);
	test_down(d, c);
}

/* ---- how high it lies */

struct height {
	uint64_t data_bits, control_bits; /* HBA_UNSET: not reported */
	unsigned bits;                    /* below which all of it lies */
	unsigned low, high;               /* what was taken: below 4 GiB, and not */
};

static void note_height(struct height *h, struct hba_iova iova, size_t length)
{
	if ((iova.bus + length - 1) >> 32)
		h->high++;
	else
		h->low++;
}

/* Ops run on another thread, so the test itself judges what was noted. */
static void take_control_memory(struct test_driver *d, enum test_op op, struct hba_controller *c,
				struct hba_task *t)
{
	struct height *h = d->of_test;
	struct hba_mapping *m;

	if (op == TEST_INITIALIZE) {
		c->report.constraints.address_bits = h->data_bits;
		c->report.control_address_bits = h->control_bits;
		c->report.hba_data_size = 64;
	}
	if (op == TEST_MAP)
		note_height(h, t->hba_iova, 64);
	if ((op == TEST_MAP || op == TEST_START) &&
	    hba_mapping_create(c, HBA_DEVICE_BOTH, 4 << 20, 0, &m) == 0)
		note_height(h, hba_mapping_iova(m), hba_mapping_length(m));
}

/*
 * Without a bus an address is what a mapping of this process has, and those lie above 4 GiB unless
 * they are asked to lie lower.
 */
static void control_memory_lies_below_its_limit(void **state)
{
	struct height heights[] = { { 32, HBA_UNSET, 32, 0, 0 },
				    { 64, 32, 32, 0, 0 },
				    { 32, 64, 64, 0, 0 },
				    { 64, HBA_UNSET, 64, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heights); i++) {
		struct test_driver *d = test_driver_new();

		d->of_test = &heights[i];
		d->inside = take_control_memory;
		test_down(d, test_up(d));
		assert_int_equal(heights[i].bits == 32 ? heights[i].high : heights[i].low, 0);
		assert_true(heights[i].low + heights[i].high > 2);
	}
}

/* ---- let go while it is used */

static void waits_for_its_tasks(void **state)
{
	struct test_driver *d = test_driver_new();
	struct hba_controller *c = test_up(d);
	struct test_io io = { .put = true };
	struct hba_mapping *m = NULL;
	struct hba_task *t = test_get(hba_lun_find(c, 0, 0));

	(void)state;
	assert_int_equal(hba_mapping_create(c, HBA_DEVICE_BOTH, TEST_BLOCK, 0, &m), 0);
	d->hold = true;
	test_fill_rw(t, false, 0, 1, hba_mapping_address(m));
	assert_int_equal(hba_submit(t, test_done, &io), 0);
	test_turns(c, 2);
	assert_int_equal(d->n_held, 1);
	d->release = 1;
	assert_int_equal(io.done, 0);
	assert_int_equal(hba_mapping_release(m), 0);
	assert_int_equal(io.done, 1);
	test_down(d, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_steps),
		cmocka_unit_test(one_range_for_the_device),
		cmocka_unit_test(numbers_are_not_used_again),
		cmocka_unit_test(impossible),
		cmocka_unit_test(imported),
		cmocka_unit_test(imports_that_cannot_be),
		cmocka_unit_test(control_memory_lies_below_its_limit),
		cmocka_unit_test(waits_for_its_tasks),
	};

	return cmocka_run_group_tests_name("core: memory", tests, NULL, NULL);
}
