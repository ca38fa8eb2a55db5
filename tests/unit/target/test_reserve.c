/* SPDX-License-Identifier: MIT */
/*
 * test_reserve.c: reservations of both kinds between nexuses: who is let in, who hears of what, and
 * what outlives a power loss.
 */
#include "rig.h"

#include "target/commands.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCKS = 64, A = 0, B = 1, C = 2 };
enum { REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE };
enum { WE = 1, EA = 3, WERO = 5, EARO = 6, WEAR = 7, EAAR = 8 };
static const uint8_t types[] = { WE, EA, WERO, EARO, WEAR, EAAR };
static const uint64_t key_of[] = { 0xa0a0a0a0a0a0a0a0, 0xb1, 0xc2 };

struct bench {
	struct rig rig;
	char image[64], file[80];
};

static void open_unit(struct bench *b, bool lasting)
{
	struct target_unit_options options = { .block_bytes = 512,
					       .identity = "r",
					       .reservations = lasting ? b->file : NULL };

	rig_open(&b->rig);
	assert_int_equal(store_open_ram(BLOCKS * 512, &options.store, b->rig.message), 0);
	assert_int_equal(target_device_add(&b->rig.device, &options, b->rig.message), 0);
	rig_forget_attention(&b->rig);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	int fd;

	assert_non_null(b);
	snprintf(b->image, sizeof(b->image), "/tmp/hbakit-reserve-XXXXXX");
	fd = mkstemp(b->image);
	assert_true(fd >= 0);
	close(fd);
	snprintf(b->file, sizeof(b->file), "%s.pr", b->image);
	open_unit(b, true);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	rig_close(&b->rig);
	unlink(b->image);
	unlink(b->file);
	free(b);
	return 0;
}

static enum hba_outcome plain(struct rig *rig, unsigned nexus, struct scsi_cdb cdb)
{
	rig->nexus = (uint8_t)nexus;
	return rig_run(rig, &cdb, HBA_NO_DATA, 0);
}

static enum hba_outcome in(struct rig *rig, unsigned nexus, struct scsi_cdb cdb, uint64_t length)
{
	rig->nexus = (uint8_t)nexus;
	memset(rig->data, 0, length);
	return rig_run(rig, &cdb, HBA_FROM_TARGET, length);
}

static enum hba_outcome ready(struct rig *rig, unsigned nexus)
{
	return plain(rig, nexus, scsi_cdb_test_unit_ready());
}

static enum hba_outcome out_flags(struct rig *rig, unsigned nexus, uint8_t action, uint8_t type,
				  uint64_t key, uint64_t action_key, uint8_t flags)
{
	struct scsi_cdb cdb =
		RIG_CDB(SCSI_PERSISTENT_RESERVE_OUT, action, type, 0, 0, 0, 0, 0, 24, 0);

	rig->nexus = (uint8_t)nexus;
	memset(rig->data, 0, 24);
	put_be64(rig->data, key);
	put_be64(rig->data + 8, action_key);
	rig->data[20] = flags;
	return rig_run(rig, &cdb, HBA_TO_TARGET, 24);
}

static enum hba_outcome out(struct rig *rig, unsigned nexus, uint8_t action, uint8_t type,
			    uint64_t key, uint64_t action_key)
{
	return out_flags(rig, nexus, action, type, key, action_key, 0);
}

static void enroll(struct rig *rig, unsigned nexus)
{
	assert_int_equal(out(rig, nexus, REGISTER, 0, 0, key_of[nexus]), HBA_GOOD);
}

static void hold(struct rig *rig, unsigned nexus, uint8_t type)
{
	enroll(rig, nexus);
	assert_int_equal(out(rig, nexus, RESERVE, type, key_of[nexus], 0), HBA_GOOD);
}

static void forget_all(struct rig *rig)
{
	out(rig, A, REGISTER_AND_IGNORE, 0, 0, key_of[A]);
	assert_int_equal(out(rig, A, CLEAR, 0, key_of[A], 0), HBA_GOOD);
	rig_forget_attention(rig);
}

static struct scsi_cdb read_in(uint8_t action)
{
	return RIG_CDB(SCSI_PERSISTENT_RESERVE_IN, action, 0, 0, 0, 0, 0, 1, 0, 0);
}

static uint32_t generation(struct rig *rig)
{
	assert_int_equal(in(rig, A, read_in(0), 256), HBA_GOOD);
	return get_be32(rig->data);
}

/* The type held, 0 if none, and the key that READ RESERVATION shows. */
static unsigned held(struct rig *rig, uint64_t *key)
{
	assert_int_equal(in(rig, C, read_in(1), 256), HBA_GOOD);
	if (get_be32(rig->data + 4) == 0)
		return 0;
	assert_int_equal(get_be32(rig->data + 4), 16);
	*key = get_be64(rig->data + 8);
	return rig->data[21];
}

static void assert_told(struct rig *rig, unsigned nexus, uint16_t asc)
{
	assert_int_equal(ready(rig, nexus), asc ? HBA_CHECK_CONDITION : HBA_GOOD);
	if (asc)
		rig_assert_sense(rig, SCSI_UNIT_ATTENTION, asc);
}

/* ---- who is let in */

/*
 * What a command asks for, as SPC-4 and SBC-3 list it: written down a second time, in their words.
 * OWN: what the command itself is about, and tested below.
 */
enum kind { ALWAYS, READS, WRITES, OWN };

struct probe {
	uint8_t cdb[16];
	uint8_t length, direction;
	enum kind kind;
};

static const struct probe probes[] = {
	{ { SCSI_TEST_UNIT_READY }, 6, HBA_NO_DATA, ALWAYS },
	{ { SCSI_INQUIRY, 0, 0, 0, 36 }, 6, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_REQUEST_SENSE, 0, 0, 0, 18 }, 6, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16 }, 12, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_READ_CAPACITY_10 }, 10, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_READ_CAPACITY_16, [13] = 32 },
	  16,
	  HBA_FROM_TARGET,
	  ALWAYS },
	{ { SCSI_LOG_SENSE, 0, 0x40, [8] = 64 }, 10, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_PERSISTENT_RESERVE_IN, 0, [8] = 8 }, 10, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_PERSISTENT_RESERVE_IN, 1, [8] = 8 }, 10, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_PERSISTENT_RESERVE_IN, 2, [8] = 8 }, 10, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_PERSISTENT_RESERVE_IN, 3, [8] = 8 }, 10, HBA_FROM_TARGET, ALWAYS },
	{ { SCSI_READ_6, 0, 0, 0, 1 }, 6, HBA_FROM_TARGET, READS },
	{ { SCSI_READ_10, [8] = 1 }, 10, HBA_FROM_TARGET, READS },
	{ { SCSI_READ_12, [9] = 1 }, 12, HBA_FROM_TARGET, READS },
	{ { SCSI_READ_16, [13] = 1 }, 16, HBA_FROM_TARGET, READS },
	{ { SCSI_VERIFY_10, [8] = 1 }, 10, HBA_NO_DATA, READS },
	{ { SCSI_VERIFY_12, [9] = 1 }, 12, HBA_NO_DATA, READS },
	{ { SCSI_VERIFY_16, [13] = 1 }, 16, HBA_NO_DATA, READS },
	{ { SCSI_PRE_FETCH_10, [8] = 1 }, 10, HBA_NO_DATA, READS },
	{ { SCSI_PRE_FETCH_16, [13] = 1 }, 16, HBA_NO_DATA, READS },
	{ { SCSI_SERVICE_ACTION_IN_16, SCSI_SAI_GET_LBA_STATUS, [13] = 32 },
	  16,
	  HBA_FROM_TARGET,
	  READS },
	{ { SCSI_MODE_SENSE_6, 0, 0x3f, 0, 255 }, 6, HBA_FROM_TARGET, READS },
	{ { SCSI_MODE_SENSE_10, 0, 0x3f, [8] = 255 }, 10, HBA_FROM_TARGET, READS },
	{ { SCSI_RECEIVE_DIAGNOSTIC_RESULTS, 0, 0, 0, 32 }, 6, HBA_FROM_TARGET, READS },
	{ { SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_SUPPORTED_OPCODES, [9] = 64 },
	  12,
	  HBA_FROM_TARGET,
	  READS },
	{ { SCSI_MAINTENANCE_IN, SCSI_MI_REPORT_SUPPORTED_TMFS, [9] = 16 },
	  12,
	  HBA_FROM_TARGET,
	  READS },
	{ { SCSI_WRITE_6, 0, 0, 0, 1 }, 6, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_10, [8] = 1 }, 10, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_12, [9] = 1 }, 12, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_16, [13] = 1 }, 16, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_AND_VERIFY_10, [8] = 1 }, 10, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_AND_VERIFY_12, [9] = 1 }, 12, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_AND_VERIFY_16, [13] = 1 }, 16, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_SAME_10, [8] = 1 }, 10, HBA_TO_TARGET, WRITES },
	{ { SCSI_WRITE_SAME_16, [13] = 1 }, 16, HBA_TO_TARGET, WRITES },
	{ { SCSI_COMPARE_AND_WRITE, [13] = 1 }, 16, HBA_TO_TARGET, WRITES },
	{ { SCSI_ORWRITE_16, [13] = 1 }, 16, HBA_TO_TARGET, WRITES },
	{ { SCSI_UNMAP }, 10, HBA_NO_DATA, WRITES },
	{ { SCSI_SYNCHRONIZE_CACHE_10 }, 10, HBA_NO_DATA, WRITES },
	{ { SCSI_SYNCHRONIZE_CACHE_16 }, 16, HBA_NO_DATA, WRITES },
	{ { SCSI_MODE_SELECT_6 }, 6, HBA_NO_DATA, WRITES },
	{ { SCSI_MODE_SELECT_10 }, 10, HBA_NO_DATA, WRITES },
	{ { SCSI_SEND_DIAGNOSTIC }, 6, HBA_NO_DATA, WRITES },
	/* stop; the next one starts it again */
	{ { SCSI_START_STOP_UNIT, 0, 0, 0, 0 }, 6, HBA_NO_DATA, WRITES },
	{ { SCSI_START_STOP_UNIT, 0, 0, 0, 1 }, 6, HBA_NO_DATA, ALWAYS },
	{ { SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 1 }, 6, HBA_NO_DATA, WRITES },
	{ { SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0 }, 6, HBA_NO_DATA, ALWAYS },
	{ { SCSI_RESERVE_6 }, .kind = OWN },
	{ { SCSI_RESERVE_10 }, .kind = OWN },
	{ { SCSI_RELEASE_6 }, .kind = OWN },
	{ { SCSI_RELEASE_10 }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, REGISTER }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, RESERVE }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, RELEASE }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, CLEAR }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, PREEMPT }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, PREEMPT_AND_ABORT }, .kind = OWN },
	{ { SCSI_PERSISTENT_RESERVE_OUT, REGISTER_AND_IGNORE }, .kind = OWN },
};

static bool has_probe(uint8_t opcode, const struct row *action)
{
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].cdb[0] == opcode &&
		    (!action || (probes[i].cdb[1] & ACTION_MASK) == action->action))
			return true;
	return false;
}

static void every_command_is_probed(void **state)
{
	const struct target_unit *unit = &((struct bench *)*state)->rig.device.units[0];

	for (unsigned opcode = 0; opcode <= UINT8_MAX; opcode++) {
		const struct row *row = target_row(unit, (uint8_t)opcode);

		if (row->run && !has_probe((uint8_t)opcode, NULL))
			fail_msg("%s (%02x) has no probe", row->name, opcode);
		for (const struct row *action = row->actions; action && action->name; action++)
			if (!has_probe((uint8_t)opcode, action))
				fail_msg("%s (%02x/%02x) has no probe", action->name, opcode,
					 action->action);
	}
}

/* All data are zeros, as the blocks are: so COMPARE AND WRITE finds what it expects. */
static enum hba_outcome send_probe(struct rig *rig, const struct probe *p)
{
	struct scsi_cdb cdb = rig_cdb(p->cdb, p->length);
	enum hba_outcome outcome;

	memset(rig->data, 0, 1024);
	outcome = rig_run(rig, &cdb, (enum hba_direction)p->direction, p->direction ? 1024 : 0);
	return outcome == HBA_CONDITION_MET ? HBA_GOOD : outcome; /* PRE-FETCH's word for it */
}

static void probe_all(struct rig *rig, unsigned nexus, bool reads, bool writes)
{
	rig->nexus = (uint8_t)nexus;
	for (const struct probe *p = probes; p < probes + ARRAY_SIZE(probes); p++) {
		bool allowed = p->kind == ALWAYS || (p->kind == READS && reads) ||
			       (p->kind == WRITES && writes);

		if (p->kind != OWN &&
		    send_probe(rig, p) != (allowed ? HBA_GOOD : HBA_RESERVATION_CONFLICT))
			fail_msg("opcode %02x/%02x, nexus %u: outcome %x", p->cdb[0], p->cdb[1],
				 nexus, (unsigned)rig->last.command.outcome);
	}
}

static void the_table_holds_for_every_type_and_standing(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		bool exclusive = types[i] == EA || types[i] == EARO || types[i] == EAAR;
		bool registrants = types[i] >= WERO;

		hold(rig, A, types[i]);
		probe_all(rig, A, true, true);
		probe_all(rig, B, !exclusive, false);
		enroll(rig, B);
		probe_all(rig, B, !exclusive || registrants, registrants);
		probe_all(rig, C, !exclusive, false);
		forget_all(rig);
		probe_all(rig, B, true, true);
	}
}

static void legacy_reservation_keeps_others_out(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	assert_int_equal(plain(rig, A, RIG_CDB(SCSI_RESERVE_6, 0, 0, 0, 0, 0)), HBA_GOOD);
	assert_int_equal(plain(rig, A, RIG_CDB(SCSI_RESERVE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
			 HBA_GOOD);
	assert_int_equal(ready(rig, A), HBA_GOOD);
	assert_int_equal(ready(rig, B), HBA_RESERVATION_CONFLICT);
	assert_int_equal(in(rig, B, scsi_cdb_inquiry(36), 36), HBA_GOOD);
	assert_int_equal(in(rig, B, scsi_cdb_request_sense(18), 18), HBA_GOOD);
	assert_int_equal(in(rig, B, scsi_cdb_mode_sense_6(0x3f, 0, 255), 255),
			 HBA_RESERVATION_CONFLICT);
	assert_int_equal(plain(rig, B, RIG_CDB(SCSI_RESERVE_6, 0, 0, 0, 0, 0)),
			 HBA_RESERVATION_CONFLICT);
	/* and it changes nothing */
	assert_int_equal(plain(rig, B, RIG_CDB(SCSI_RELEASE_6, 0, 0, 0, 0, 0)), HBA_GOOD);
	assert_int_equal(ready(rig, B), HBA_RESERVATION_CONFLICT);
	/* Persistent ones are for nobody then, the holder included. */
	assert_int_equal(out(rig, A, REGISTER, 0, 0, 1), HBA_RESERVATION_CONFLICT);
	assert_int_equal(in(rig, A, read_in(0), 256), HBA_RESERVATION_CONFLICT);
	assert_int_equal(plain(rig, A, RIG_CDB(SCSI_RELEASE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
			 HBA_GOOD);
	assert_int_equal(ready(rig, B), HBA_GOOD);
	/* A reset ends it. */
	assert_int_equal(plain(rig, A, RIG_CDB(SCSI_RESERVE_6, 0, 0, 0, 0, 0)), HBA_GOOD);
	target_unit_was_reset(&rig->device.units[0]);
	assert_told(rig, B, SCSI_ASC_POWER_ON_OR_RESET);
	assert_told(rig, B, 0);
}

static void legacy_commands_beside_persistent_ones(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb reserve = RIG_CDB(SCSI_RESERVE_6, 0, 0, 0, 0, 0),
			release = RIG_CDB(SCSI_RELEASE_6, 0, 0, 0, 0, 0);

	enroll(rig, A);
	assert_int_equal(plain(rig, A, reserve), HBA_RESERVATION_CONFLICT);
	assert_int_equal(plain(rig, B, release), HBA_RESERVATION_CONFLICT);
	enroll(rig, B);
	assert_int_equal(out(rig, A, RESERVE, WE, key_of[A], 0), HBA_GOOD);
	assert_int_equal(plain(rig, A, reserve), HBA_GOOD);
	assert_int_equal(plain(rig, B, reserve), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, A, RELEASE, WE, key_of[A], 0), HBA_GOOD);
	assert_int_equal(out(rig, A, RESERVE, WERO, key_of[A], 0), HBA_GOOD);
	assert_int_equal(plain(rig, B, reserve), HBA_GOOD); /* served, though nothing is reserved */
	assert_int_equal(plain(rig, B, release), HBA_GOOD);
	assert_int_equal(plain(rig, C, reserve), HBA_RESERVATION_CONFLICT);
	assert_int_equal(ready(rig, A), HBA_GOOD);
}

/* ---- the service actions */

static void registering_wants_the_right_key(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint32_t before = generation(rig);

	assert_int_equal(out(rig, A, REGISTER, 0, 5, 6), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, A, REGISTER, 0, 0, 0), HBA_GOOD);
	assert_int_equal(generation(rig), before);
	assert_int_equal(out(rig, A, REGISTER, 0, 0, 6), HBA_GOOD);
	assert_int_equal(generation(rig), before + 1);
	assert_int_equal(out(rig, A, REGISTER, 0, 0, 7), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, A, REGISTER, 0, 6, 7), HBA_GOOD);
	assert_int_equal(out(rig, A, REGISTER_AND_IGNORE, 0, 0xdead, 8), HBA_GOOD);
	assert_int_equal(in(rig, A, read_in(0), 256), HBA_GOOD);
	assert_int_equal(get_be32(rig->data + 4), 8);
	assert_int_equal(get_be64(rig->data + 8), 8);
	assert_int_equal(out(rig, A, REGISTER, 0, 8, 0), HBA_GOOD);
	assert_int_equal(generation(rig), before + 4);
	assert_int_equal(get_be32(rig->data + 4), 0);
}

static void reserving_and_releasing(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t key = 0;

	assert_int_equal(out(rig, A, RESERVE, WE, 0, 0), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, A, RELEASE, WE, 0, 0), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, A, CLEAR, 0, 0, 0), HBA_RESERVATION_CONFLICT);
	hold(rig, A, WERO);
	enroll(rig, B);
	assert_int_equal(out(rig, A, RESERVE, WERO, key_of[A], 0), HBA_GOOD); /* again */
	assert_int_equal(out(rig, A, RESERVE, WE, key_of[A], 0), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, B, RESERVE, WERO, key_of[B], 0), HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, A, RESERVE, WERO, 1, 0), HBA_RESERVATION_CONFLICT);
	assert_int_equal(held(rig, &key), WERO);
	assert_int_equal(key, key_of[A]);
	/* not its own: nothing happens */
	assert_int_equal(out(rig, B, RELEASE, WERO, key_of[B], 0), HBA_GOOD);
	assert_int_equal(held(rig, &key), WERO);
	out(rig, A, RELEASE, EARO, key_of[A], 0);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_RELEASE);
	assert_int_equal(out(rig, A, RELEASE, WERO, key_of[A], 0), HBA_GOOD);
	assert_int_equal(held(rig, &key), 0);
	assert_told(rig, A, 0);
	assert_told(rig, C, 0); /* not registered: not told */
	assert_told(rig, B, SCSI_ASC_RESERVATIONS_RELEASED);
}

static void all_registrants_hold_until_the_last_is_gone(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t key = 1;

	hold(rig, A, EAAR);
	enroll(rig, B);
	assert_int_equal(out(rig, B, RESERVE, EAAR, key_of[B], 0), HBA_GOOD);
	assert_int_equal(out(rig, A, REGISTER, 0, key_of[A], 0), HBA_GOOD);
	assert_int_equal(held(rig, &key), EAAR);
	assert_int_equal(key, 0);
	assert_int_equal(in(rig, A, rig_rw(HBA_FROM_TARGET, 0, 1, 10, false), 512),
			 HBA_RESERVATION_CONFLICT);
	assert_int_equal(out(rig, B, REGISTER, 0, key_of[B], 0), HBA_GOOD);
	assert_int_equal(held(rig, &key), 0);
}

static void a_holder_that_leaves_lets_go(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t key;

	hold(rig, A, EARO);
	enroll(rig, B);
	assert_int_equal(out(rig, A, REGISTER, 0, key_of[A], 0), HBA_GOOD);
	assert_int_equal(held(rig, &key), 0);
	assert_told(rig, B, SCSI_ASC_RESERVATIONS_RELEASED);
}

static void clearing_tells_the_others(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t key;

	hold(rig, A, WE);
	enroll(rig, B);
	assert_int_equal(out(rig, B, CLEAR, 0, key_of[B], 0), HBA_GOOD);
	assert_int_equal(held(rig, &key), 0);
	assert_told(rig, B, 0);
	assert_told(rig, C, 0);
	assert_told(rig, A, SCSI_ASC_RESERVATIONS_PREEMPTED);
	assert_int_equal(in(rig, A, read_in(0), 256), HBA_GOOD);
	assert_int_equal(get_be32(rig->data + 4), 0);
}

static void preempting_takes_over(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t key = 0;

	for (uint8_t action = PREEMPT; action <= PREEMPT_AND_ABORT; action++) {
		hold(rig, A, WERO);
		enroll(rig, B);
		enroll(rig, C);
		assert_int_equal(out(rig, B, action, EA, 1, key_of[A]), HBA_RESERVATION_CONFLICT);
		assert_int_equal(out(rig, B, action, EA, key_of[B], 0xdead),
				 HBA_RESERVATION_CONFLICT);
		out(rig, B, action, EA, key_of[B], 0);
		rig_assert_parameter(rig, 8, 7);
		out(rig, B, action, 0, key_of[B], key_of[A]);
		rig_assert_field(rig, 2, 3);
		assert_int_equal(held(rig, &key), WERO);
		assert_int_equal(out(rig, B, action, EA, key_of[B], key_of[A]), HBA_GOOD);
		assert_told(rig, A, SCSI_ASC_REGISTRATIONS_PREEMPTED);
		assert_told(rig, C, SCSI_ASC_RESERVATIONS_RELEASED);
		assert_told(rig, B, 0);
		assert_int_equal(held(rig, &key), EA);
		assert_int_equal(key, key_of[B]);
		/* it is a stranger now */
		assert_int_equal(out(rig, A, REGISTER, 0, key_of[A], 1), HBA_RESERVATION_CONFLICT);
		/* Oneself: only the type changes. */
		assert_int_equal(out(rig, B, action, WE, key_of[B], key_of[B]), HBA_GOOD);
		assert_told(rig, C, SCSI_ASC_RESERVATIONS_RELEASED);
		assert_int_equal(held(rig, &key), WE);
		assert_int_equal(key, key_of[B]);
		forget_all(rig);
	}
}

/*
 * From any type to any other: whoever stays registered hears of it, unless nothing has changed for
 * him.
 */
static void a_preempted_type_is_told_to_those_who_stay(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	for (size_t before = 0; before < ARRAY_SIZE(types); before++)
		for (size_t after = 0; after < ARRAY_SIZE(types); after++) {
			bool all = types[before] == WEAR || types[before] == EAAR;

			hold(rig, A, types[before]);
			enroll(rig, B);
			enroll(rig, C);
			assert_int_equal(
				out(rig, B, PREEMPT, types[after], key_of[B], all ? 0 : key_of[A]),
				HBA_GOOD);
			assert_told(rig, A, SCSI_ASC_REGISTRATIONS_PREEMPTED);
			assert_told(rig, B, 0);
			/* Where all held it, all but the new holder have gone. */
			assert_told(rig, C,
				    all               ? SCSI_ASC_REGISTRATIONS_PREEMPTED
				    : before == after ? 0
						      : SCSI_ASC_RESERVATIONS_RELEASED);
			forget_all(rig);
		}
}

/*
 * PREVENT of one who has gone for good would keep the medium in for ever; PREEMPT AND ABORT is how
 * to be rid of him.
 */
static void preempt_and_abort_ends_what_victims_prevented(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb prevent = RIG_CDB(SCSI_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 1, 0);
	struct scsi_cdb eject = RIG_CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);

	rig->device.units[0].removable = true;
	for (uint8_t action = PREEMPT; action <= PREEMPT_AND_ABORT; action++) {
		enroll(rig, A);
		if (action == PREEMPT)
			enroll(rig, B);
		assert_int_equal(plain(rig, A, prevent), HBA_GOOD);
		assert_int_equal(plain(rig, C, prevent), HBA_GOOD);
		assert_int_equal(out(rig, B, action, 0, key_of[B], key_of[A]), HBA_GOOD);
		rig_forget_attention(rig);
		assert_int_equal(plain(rig, B, eject), HBA_CHECK_CONDITION); /* C is no victim */
		prevent.bytes[4] = 0;
		assert_int_equal(plain(rig, C, prevent), HBA_GOOD);
		prevent.bytes[4] = 1;
		assert_int_equal(plain(rig, B, eject),
				 action == PREEMPT ? HBA_CHECK_CONDITION : HBA_GOOD);
	}
}

static void preempting_a_registration_leaves_the_reservation(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	uint64_t key = 0;

	hold(rig, A, WEAR);
	enroll(rig, B);
	enroll(rig, C);
	assert_int_equal(out(rig, A, PREEMPT, WEAR, key_of[A], key_of[C]), HBA_GOOD);
	assert_told(rig, C, SCSI_ASC_REGISTRATIONS_PREEMPTED);
	assert_told(rig, B, 0);
	assert_int_equal(held(rig, &key), WEAR);
	/* Key 0: everybody else's, where all hold it. */
	assert_int_equal(out(rig, B, PREEMPT, WE, key_of[B], 0), HBA_GOOD);
	assert_told(rig, A, SCSI_ASC_REGISTRATIONS_PREEMPTED);
	assert_int_equal(held(rig, &key), WE);
	assert_int_equal(key, key_of[B]);
}

static void bad_parameters_are_pointed_at(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;
	struct scsi_cdb cdb =
		RIG_CDB(SCSI_PERSISTENT_RESERVE_OUT, REGISTER, 0, 0, 0, 0, 0, 0, 23, 0);

	rig_run(rig, &cdb, HBA_TO_TARGET, 24);
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	cdb.bytes[8] = 24;
	rig_run(rig, &cdb, HBA_TO_TARGET, 23); /* less than the CDB says */
	rig_assert_sense(rig, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
	out_flags(rig, A, REGISTER, 0, 0, 1, 0x08); /* SPEC_I_PT */
	rig_assert_parameter(rig, 20, 3);
	out_flags(rig, A, REGISTER, 0, 0, 1, 0x04); /* ALL_TG_PT */
	rig_assert_parameter(rig, 20, 2);
	enroll(rig, A);
	out(rig, A, RESERVE, 0x10 | WE, key_of[A], 0); /* a scope that is no unit */
	rig_assert_field(rig, 2, 7);
	out(rig, A, RESERVE, 2, key_of[A], 0);
	rig_assert_field(rig, 2, 3);
	out(rig, A, RESERVE, 9, key_of[A], 0);
	rig_assert_field(rig, 2, 3);
	out(rig, A, 7, 0, 0, 0); /* REGISTER AND MOVE */
	rig_assert_field(rig, 1, 4);
	in(rig, A, read_in(4), 256);
	rig_assert_field(rig, 1, 4);
	plain(rig, A, RIG_CDB(SCSI_RESERVE_6, 0x10, 0, 0, 0, 0)); /* third party */
	rig_assert_field(rig, 1, 4);
}

static void capabilities_and_full_status(void **state)
{
	struct rig *rig = &((struct bench *)*state)->rig;

	assert_int_equal(in(rig, A, read_in(2), 256), HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 8);
	assert_int_equal(get_be16(rig->data), 8);
	assert_int_equal(rig->data[2], 0x11); /* CRH, PTPL_C */
	assert_int_equal(rig->data[3], 0x80); /* TMV */
	assert_int_equal(get_be16(rig->data + 4), 0xea01);
	hold(rig, B, EA);
	enroll(rig, C);
	assert_int_equal(in(rig, A, read_in(3), 256), HBA_GOOD);
	assert_int_equal(get_be32(rig->data + 4), 2 * 48);
	assert_int_equal(get_be64(rig->data + 8), key_of[B]);
	assert_int_equal(rig->data[8 + 12], 1);
	assert_int_equal(rig->data[8 + 13], EA);
	assert_int_equal(get_be32(rig->data + 8 + 20), 24);
	assert_int_equal(rig->data[8 + 24], 1); /* SPI */
	assert_int_equal(get_be16(rig->data + 8 + 26), B);
	assert_int_equal(get_be64(rig->data + 8 + 48), key_of[C]);
	assert_int_equal(rig->data[8 + 48 + 12], 0);
	/* Cut anywhere, the length still says how much there is. */
	assert_int_equal(
		in(rig, A, RIG_CDB(SCSI_PERSISTENT_RESERVE_IN, 3, 0, 0, 0, 0, 0, 0, 9, 0), 256),
		HBA_GOOD);
	assert_int_equal(rig->last.command.bytes, 9);
	assert_int_equal(get_be32(rig->data + 4), 2 * 48);
}

/* ---- beyond a power loss */

static void reopen(struct bench *b, bool lasting)
{
	rig_close(&b->rig);
	open_unit(b, lasting);
}

static void lasting_ones_outlive_reopening(void **state)
{
	struct bench *b = *state;
	uint64_t key = 0;

	assert_int_equal(out_flags(&b->rig, A, REGISTER, 0, 0, key_of[A], 1), HBA_GOOD);
	assert_int_equal(out_flags(&b->rig, B, REGISTER, 0, 0, key_of[B], 1), HBA_GOOD);
	assert_int_equal(out(&b->rig, B, RESERVE, EARO, key_of[B], 0), HBA_GOOD);
	reopen(b, true);
	assert_int_equal(held(&b->rig, &key), EARO);
	assert_int_equal(key, key_of[B]);
	assert_int_equal(ready(&b->rig, C), HBA_GOOD);
	assert_int_equal(in(&b->rig, C, rig_rw(HBA_FROM_TARGET, 0, 1, 10, false), 512),
			 HBA_RESERVATION_CONFLICT);
	assert_int_equal(in(&b->rig, A, rig_rw(HBA_FROM_TARGET, 0, 1, 10, false), 512), HBA_GOOD);
	assert_int_equal(in(&b->rig, A, read_in(2), 256), HBA_GOOD);
	assert_int_equal(b->rig.data[3], 0x81); /* PTPL_A */
	/* Registered again without APTPL, nothing lasts any more. */
	assert_int_equal(out(&b->rig, B, REGISTER, 0, key_of[B], 9), HBA_GOOD);
	assert_int_equal(access(b->file, F_OK), -1);
	reopen(b, true);
	assert_int_equal(held(&b->rig, &key), 0);
}

/*
 * What was called: f, fsync of a file; d, of a directory; r, rename. The wrappers have no other way
 * to their test.
 */
static struct {
	char calls[16];
	unsigned n;
	char failing; /* this one fails with EIO */
} seen;

static int note(char what)
{
	if (seen.n < sizeof(seen.calls) - 1)
		seen.calls[seen.n++] = what;
	errno = EIO;
	return seen.failing == what ? -1 : 0;
}

int real_rename(const char *from, const char *to) __asm__("__real_rename");
int test_rename(const char *from, const char *to) __asm__("__wrap_rename");
int test_fsync(int fd) __asm__("__wrap_fsync");

int test_rename(const char *from, const char *to)
{
	return note('r') < 0 ? -1 : real_rename(from, to);
}

int test_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return note(S_ISDIR(st.st_mode) ? 'd' : 'f');
}

static void file_and_directory_are_synced(void **state)
{
	struct bench *b = *state;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(out_flags(&b->rig, A, REGISTER, 0, 0, 1, 1), HBA_GOOD);
	assert_string_equal(seen.calls, "frd");
	/* Without APTPL the file goes, and stays away. */
	assert_int_equal(out(&b->rig, A, REGISTER, 0, 1, 2), HBA_GOOD);
	assert_string_equal(seen.calls, "frdd");
}

static void what_cannot_be_synced_is_not_done(void **state)
{
	struct bench *b = *state;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(out_flags(&b->rig, A, REGISTER, 0, 0, 1, 1), HBA_GOOD);
	for (const char *what = "frd"; *what; what++) {
		seen.failing = *what;
		out(&b->rig, A, RESERVE, WE, 1, 0);
		rig_assert_sense(&b->rig, SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_TARGET_FAILURE);
		seen.failing = 0;
		assert_int_equal(in(&b->rig, B, read_in(1), 256), HBA_GOOD);
		assert_int_equal(get_be32(b->rig.data + 4), 0);
	}
}

/*
 * Links at the file's own name, and at the one that earlier versions wrote first: what they lead to
 * stays as it is.
 */
static void planted_links_are_not_followed(void **state)
{
	struct bench *b = *state;
	char beside[96];
	struct stat st;

	snprintf(beside, sizeof(beside), "%s.new", b->file);
	assert_int_equal(symlink(b->image, beside), 0);
	assert_int_equal(symlink(b->image, b->file), 0);
	assert_int_equal(out_flags(&b->rig, A, REGISTER, 0, 0, 1, 1), HBA_GOOD);
	assert_int_equal(unlink(beside), 0);
	assert_int_equal(stat(b->image, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(lstat(b->file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & ACCESSPERMS, 0600);
	assert_int_equal(st.st_nlink, 1);
}

/* Nor are reservations read where a link leads, or a pipe. */
static void links_and_pipes_are_refused(void **state)
{
	struct bench *b = *state;
	struct registrations r;

	assert_int_equal(out_flags(&b->rig, A, REGISTER, 0, 0, 1, 1), HBA_GOOD);
	assert_int_equal(rename(b->file, b->image), 0);
	assert_int_equal(symlink(b->image, b->file), 0);
	assert_int_equal(target_registrations_load(b->file, &r, b->rig.message), -ELOOP);
	assert_non_null(strstr(b->rig.message, b->file));
	assert_int_equal(unlink(b->file), 0);
	assert_int_equal(mkfifo(b->file, 0600), 0);
	assert_int_equal(target_registrations_load(b->file, &r, b->rig.message), -ELOOP);
}

static void without_a_file_nothing_lasts(void **state)
{
	struct bench *b = *state;

	reopen(b, false);
	out_flags(&b->rig, A, REGISTER, 0, 0, 1, 1);
	rig_assert_parameter(&b->rig, 20, 0);
	/* it was not registered */
	assert_int_equal(out(&b->rig, A, REGISTER, 0, 1, 1), HBA_RESERVATION_CONFLICT);
}

static void what_cannot_be_saved_is_not_done(void **state)
{
	struct bench *b = *state;

	assert_int_equal(out_flags(&b->rig, A, REGISTER, 0, 0, 1, 1), HBA_GOOD);
	free(b->rig.device.units[0].state->registrations.path);
	b->rig.device.units[0].state->registrations.path = strdup("/nonexistent/x.pr");
	out(&b->rig, A, RESERVE, WE, 1, 0);
	rig_assert_sense(&b->rig, SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_TARGET_FAILURE);
	assert_int_equal(in(&b->rig, B, read_in(1), 256), HBA_GOOD);
	assert_int_equal(get_be32(b->rig.data + 4), 0);
}

static void damaged_files_are_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"hbakit reservations 2\nend\n",
		"hbakit reservations 1\n",
		"hbakit reservations 1\nkey 0 0x1\n",
		"hbakit reservations 1\nkey 8 0x1\nend\n",
		"hbakit reservations 1\nkey 0 0x0\nend\n",
		"hbakit reservations 1\nkey 0 0x1\nkey 0 0x2\nend\n",
		"hbakit reservations 1\nreservation 2 0\nkey 0 0x1\nend\n",
		"hbakit reservations 1\nreservation 1 1\nkey 0 0x1\nend\n",
		"hbakit reservations 1\nreservation 1 0\nkey 0 0x1\nend\nmore\n",
		"hbakit reservations 1\nkey 0 0x1 and more\nend\n",
	};
	struct bench *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct target_unit_options options = { .block_bytes = 512,
						       .identity = "r",
						       .reservations = b->file };
		FILE *f = fopen(b->file, "w");

		assert_non_null(f);
		fputs(texts[i], f);
		fclose(f);
		assert_int_equal(store_open_ram(4096, &options.store, b->rig.message), 0);
		if (target_device_add(&b->rig.device, &options, b->rig.message) != -EBADMSG)
			fail_msg("taken: %s", texts[i]);
		assert_non_null(strstr(b->rig.message, b->file));
		store_free(options.store);
	}
}

#define WITH_BENCH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BENCH(every_command_is_probed),
		WITH_BENCH(the_table_holds_for_every_type_and_standing),
		WITH_BENCH(legacy_reservation_keeps_others_out),
		WITH_BENCH(legacy_commands_beside_persistent_ones),
		WITH_BENCH(registering_wants_the_right_key),
		WITH_BENCH(reserving_and_releasing),
		WITH_BENCH(all_registrants_hold_until_the_last_is_gone),
		WITH_BENCH(a_holder_that_leaves_lets_go),
		WITH_BENCH(clearing_tells_the_others),
		WITH_BENCH(preempting_takes_over),
		WITH_BENCH(a_preempted_type_is_told_to_those_who_stay),
		WITH_BENCH(preempt_and_abort_ends_what_victims_prevented),
		WITH_BENCH(preempting_a_registration_leaves_the_reservation),
		WITH_BENCH(bad_parameters_are_pointed_at),
		WITH_BENCH(capabilities_and_full_status),
		WITH_BENCH(file_and_directory_are_synced),
		WITH_BENCH(what_cannot_be_synced_is_not_done),
		WITH_BENCH(planted_links_are_not_followed),
		WITH_BENCH(links_and_pipes_are_refused),
		WITH_BENCH(lasting_ones_outlive_reopening),
		WITH_BENCH(without_a_file_nothing_lasts),
		WITH_BENCH(what_cannot_be_saved_is_not_done),
		WITH_BENCH(damaged_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
