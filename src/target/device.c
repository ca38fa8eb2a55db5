/* SPDX-License-Identifier: MIT */
/* device.c: one target and its logical units: what they are, before any command comes. */
#include "target/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ALL_FUNCTIONS = (HBA_TMF_BIT(HBA_TARGET_RESET) << 1) - 1 };
enum { BLOCK_512 = 512, BLOCK_4K = 4096 };

int target_device_init(struct target_device *d, unsigned capacity)
{
	struct target_unit *units = calloc(capacity, sizeof(*units));

	uint8_t *test_block = malloc(BLOCK_4K);

	if (!units || !test_block) {
		free(units);
		free(test_block);
		return -ENOMEM;
	}
	*d = (struct target_device) { .test_block = test_block,
				      .units = units,
				      .capacity = capacity,
				      .autosense = true,
				      .functions = ALL_FUNCTIONS,
				      .nexuses = TARGET_NEXUSES };
	return 0;
}

void target_device_clear(struct target_device *d)
{
	for (unsigned i = 0; i < d->n_units; i++) {
		store_free(d->units[i].store);
		target_state_free(d->units[i].state);
		block_locks_clear(&d->units[i].locks);
		scratch_clear(&d->units[i].scratch);
	}
	free(d->test_block);
	free(d->units);
	*d = (struct target_device) { 0 };
}

/* FNV-1a, 64 bits: spreads names well; it is no secret. */
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

static uint64_t hash_byte(uint64_t hash, uint8_t byte)
{
	return (hash ^ byte) * FNV_PRIME;
}

static uint64_t hash_identity(const char *identity, unsigned lun)
{
	uint64_t hash = FNV_BASIS;

	for (; *identity; identity++)
		hash = hash_byte(hash, (uint8_t)*identity);
	hash = hash_byte(hash, 0);
	for (; lun > 0; lun >>= 8)
		hash = hash_byte(hash, (uint8_t)lun);
	return hash;
}

/* NAA 3h, "locally assigned": sixty bits that whoever runs the disk may choose (SPC-4 7.8.6.6). */
#define NAA_LOCAL      UINT64_C(0x3000000000000000)
#define NAA_LOCAL_BITS UINT64_C(0x0fffffffffffffff)

static void name_unit(struct target_unit *unit, const char *identity, unsigned lun)
{
	uint64_t hash = hash_identity(identity, lun);

	unit->naa = NAA_LOCAL | (hash & NAA_LOCAL_BITS);
	snprintf(unit->serial, sizeof(unit->serial), "%016" PRIX64, hash);
}

int target_device_add(struct target_device *d, const struct target_unit_options *options,
		      char *message)
{
	uint64_t bytes = options->store->bytes;
	struct target_state *state;
	struct target_unit *unit;
	int r;

	if (d->n_units == d->capacity)
		return target_fail(message, -ENOSPC, "no room for one more than %u units",
				   d->capacity);
	if (options->block_bytes != BLOCK_512 && options->block_bytes != BLOCK_4K)
		return target_fail(message, -EINVAL,
				   "blocks of %" PRIu32 " bytes: a block has 512 or 4096",
				   options->block_bytes);
	if (bytes < options->block_bytes)
		return target_fail(message, -EINVAL,
				   "%" PRIu64 " bytes are less than one block of %" PRIu32
				   ": make it larger",
				   bytes, options->block_bytes);
	r = target_state_create(&state);
	if (r < 0)
		return target_fail(message, r, "no memory for one more unit");
	r = options->reservations ? target_registrations_load(options->reservations,
							      &state->registrations, message)
				  : 0;
	if (r < 0) {
		target_state_free(state);
		return r;
	}
	unit = &d->units[d->n_units];
	*unit = (struct target_unit) {
		.store = options->store,
		.blocks = bytes / options->block_bytes,
		.block_bytes = options->block_bytes,
		.max_transfer = options->max_transfer,
		.read_only = options->read_only || options->store->read_only,
		.removable = options->removable,
		.nexuses = d->nexuses,
		.state = state,
	};
	block_locks_init(&unit->locks);
	scratch_init(&unit->scratch);
	name_unit(unit, options->identity, d->n_units);
	target_unit_was_reset(unit);
	d->n_units++;
	return 0;
}

void target_device_forget(struct target_device *d)
{
	for (unsigned i = 0; i < d->n_units; i++) {
		block_locks_forget(&d->units[i].locks);
		scratch_forget(&d->units[i].scratch);
		store_forget(d->units[i].store);
	}
	__atomic_store_n(&d->testing, false, __ATOMIC_RELEASE); /* a self-test was one of them */
}

/*
 * Persistent reservations and the place of the medium outlive a reset; all else does not (SPC-4
 * 5.12.5, SBC-3 4.18).
 */
void target_unit_was_reset(struct target_unit *unit)
{
	struct target_state *s = target_lock(unit);

	/*
	 * After a reset an initiator reads everything anew: conditions pending before are part of
	 * it.
	 */
	for (unsigned i = 0; i < unit->nexuses; i++)
		s->attention[i] = TARGET_RESETS;
	s->aca = TARGET_NO_NEXUS;
	s->reserver = TARGET_NO_NEXUS;
	s->kept = 0;
	s->prevented = 0;
	s->stopped = false;
	target_mode_reset(unit);
	target_unlock(unit);
}
