/* SPDX-License-Identifier: MIT */
/*
 * regions.c MODEL: transfers of 1 and 4 MiB in region mode, by lists of pieces at odd addresses and
 * of odd lengths, out of their order in memory; each is compared byte for byte with the image that
 * QEMU keeps, both ways. And: memory that is released is there again.
 */
#include <fcntl.h>
#include <hbakit/hbakit.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include <cmocka.h>

enum {
	SKIPPED = 77,
	BLOCK = 512,
	MIB = 1 << 20,
	LARGEST = 4 * MIB,
	IMAGE_BYTES = 16 * MIB,
	REGION_BYTES = 12 * MIB,
	PIECES = 61,
	MOST_GAP = 4096,
	ROUNDS = 4,
	PATH_BYTES = 64,
	URI_BYTES = 256,
	TURN_MS = 1000,
	PAGE = 4096,
	RELEASED_BYTES = 32 * MIB,
	RELEASES = 20,
};

static const char *model;

struct bench {
	char path[PATH_BYTES];
	int image;
	struct hba_controller *c;
	struct hba_lun *lun;
	struct hba_mapping *map;
	uint8_t *region;
	struct hba_piece pieces[PIECES];
	uint64_t random;
	bool done;
	struct hba_result result;
};

static uint64_t draw(struct bench *b, uint64_t below)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random % below;
}

/* ---- the machine */

static struct bench *up(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	char uri[URI_BYTES];

	assert_non_null(b);
	b->random = 0x9e3779b97f4a7c15;
	snprintf(b->path, sizeof(b->path), "/tmp/hbakit-regions-XXXXXX");
	b->image = mkostemp(b->path, O_CLOEXEC);
	assert_true(b->image >= 0);
	assert_int_equal(ftruncate(b->image, IMAGE_BYTES), 0);
	snprintf(uri, sizeof(uri), "qemu:%s?drive=%s", model, b->path);
	assert_int_equal(hba_controller_open(uri, NULL, &b->c), 0);
	if (hba_controller_start(b->c) < 0)
		fail_msg("%s", hba_error());
	b->lun = hba_lun_find(b->c, 0, 0);
	assert_non_null(b->lun);
	assert_int_equal(hba_mapping_create(b->c, HBA_DEVICE_BOTH, REGION_BYTES, 0, &b->map), 0);
	b->region = hba_mapping_address(b->map);
	return b;
}

static void down(struct bench *b)
{
	assert_int_equal(hba_mapping_release(b->map), 0);
	hba_controller_close(b->c);
	close(b->image);
	unlink(b->path);
	free(b);
}

/* ---- one transfer */

/*
 * Odd offsets from the end of the region downwards, so that the list's order is not that of the
 * addresses.
 */
static void draw_list(struct bench *b, uint64_t bytes)
{
	uint64_t at = REGION_BYTES, left = bytes;

	for (unsigned i = 0; i < PIECES; i++) {
		uint64_t most = left - (PIECES - 1 - i),
			 n = i == PIECES - 1 ? left : 1 + draw(b, 2 * bytes / PIECES);

		n = n < most ? n : most;
		at = (at - n - draw(b, MOST_GAP)) | 1;
		if (at + n > REGION_BYTES)
			at -= 2;
		b->pieces[i] = (struct hba_piece) { .region = hba_mapping_region(b->map),
						    .length = (uint32_t)n,
						    .offset = at };
		left -= n;
	}
	assert_int_equal(left, 0);
}

static void ended(struct hba_task *t, const struct hba_result *r, void *arg)
{
	struct bench *b = arg;

	b->result = *r;
	b->done = true;
	hba_task_put(t);
}

static void transfer(struct bench *b, bool write, uint32_t block, uint64_t bytes)
{
	struct pollfd p = { .fd = hba_controller_fd(b->c), .events = POLLIN };
	struct hba_task *t;

	assert_int_equal(hba_task_get(b->lun, 0, NULL, &t), 0);
	t->cdb[0] = write ? 0x2a : 0x28;
	for (unsigned i = 0; i < 4; i++)
		t->cdb[2 + i] = (uint8_t)(block >> (24 - 8 * i));
	t->cdb[7] = (uint8_t)(bytes / BLOCK >> 8);
	t->cdb[8] = (uint8_t)(bytes / BLOCK);
	t->cdb_len = 10;
	t->direction = write ? HBA_TO_TARGET : HBA_FROM_TARGET;
	t->mode = HBA_DATA_REGION;
	t->length = bytes;
	t->data.pieces = b->pieces;
	t->n_data = PIECES;
	b->done = false;
	if (hba_submit(t, ended, b) < 0)
		fail_msg("%s", hba_error());
	while (!b->done) {
		assert_true(hba_controller_run(b->c, 1) >= 0);
		if (!b->done && hba_controller_arm(b->c) == 0)
			poll(&p, 1, TURN_MS);
	}
	assert_int_equal(b->result.outcome, HBA_GOOD);
	assert_int_equal(b->result.bytes, bytes);
}

/* What the list's pieces hold, in its order, against the image. */
static void assert_same(struct bench *b, uint32_t block, uint64_t bytes)
{
	uint8_t *image = malloc(bytes);
	uint64_t at = 0;

	assert_non_null(image);
	assert_int_equal(pread(b->image, image, bytes, (off_t)block * BLOCK), bytes);
	for (unsigned i = 0; i < PIECES; at += b->pieces[i++].length)
		assert_memory_equal(b->region + b->pieces[i].offset, image + at,
				    b->pieces[i].length);
	free(image);
}

/* Beside its pieces not a byte of the region may change. */
static void assert_only_pieces_changed(struct bench *b, const uint8_t *before)
{
	for (unsigned i = 0; i < PIECES; i++)
		memcpy(b->region + b->pieces[i].offset, before + b->pieces[i].offset,
		       b->pieces[i].length);
	assert_memory_equal(b->region, before, REGION_BYTES);
}

static void fill(struct bench *b)
{
	for (size_t i = 0; i < REGION_BYTES; i++)
		b->region[i] = (uint8_t)draw(b, UINT8_MAX + 1);
}

static void there_and_back(struct bench *b, uint64_t bytes)
{
	uint32_t block = (uint32_t)draw(b, (IMAGE_BYTES - bytes) / BLOCK);
	uint8_t *before = malloc(REGION_BYTES);

	assert_non_null(before);
	fill(b);
	draw_list(b, bytes);
	transfer(b, true, block, bytes);
	assert_same(b, block, bytes);
	fill(b);
	memcpy(before, b->region, REGION_BYTES);
	draw_list(b, bytes);
	transfer(b, false, block, bytes);
	assert_same(b, block, bytes);
	assert_only_pieces_changed(b, before);
	free(before);
}

static void lists_at_odd_addresses(void **state)
{
	struct bench *b = up();

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		there_and_back(b, MIB);
		there_and_back(b, LARGEST);
	}
	down(b);
}

/* Far more than the machine has, one after another. */
static void memory_that_is_released_is_there_again(void **state)
{
	struct bench *b = up();
	struct hba_mapping *m;

	(void)state;
	for (unsigned i = 0; i < RELEASES; i++) {
		if (hba_mapping_create(b->c, HBA_DEVICE_BOTH, RELEASED_BYTES, 0, &m) < 0)
			fail_msg("the %u. time: %s", i + 1, hba_error());
		for (size_t at = 0; at < RELEASED_BYTES; at += PAGE)
			assert_int_equal(((uint8_t *)hba_mapping_address(m))[at], 0);
		memset(hba_mapping_address(m), UINT8_MAX, RELEASED_BYTES);
		assert_int_equal(hba_mapping_release(m), 0);
	}
	there_and_back(b, MIB);
	down(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(lists_at_odd_addresses),
					    cmocka_unit_test(
						    memory_that_is_released_is_there_again) };

	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
		printf("skipped: there is no qemu-system-x86_64\n");
		return SKIPPED;
	}
	model = argc > 1 ? argv[1] : "pvscsi";
	return cmocka_run_group_tests_name("qemu-regions", tests, NULL, NULL);
}
