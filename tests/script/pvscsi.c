/* SPDX-License-Identifier: MIT */
/*
 * pvscsi.c: the driver of that name against adapters that lie, stall, or are pulled out. The
 * adapter here is well-behaved until a test sets a knob or writes into its rings.
 */
#include "script/rig.h"

#include "drivers/drivers.h"
#include "drivers/pvscsi-regs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	WORDS = 160,
	HELD = 300,
	RING_PAGES = 8,
	REQS = 256,
	CMPS = 1024,
	SETUP_WORDS = 132,
	MESSAGE_WORDS = 34,
	BAR_BYTES = 0x8000,
	MANY_TURNS = 100000
};

struct adapter {
	struct rig *rig;
	/* Knobs. */
	bool hold;         /* requests wait for the test */
	bool no_messages;  /* an old one, without a message ring */
	bool forget_abort; /* aborts and resets do nothing */
	bool keep_cons;    /* req_cons stays where it is */
	/* What happened. */
	bool master;
	uint32_t command, words[WORDS], mask;
	unsigned mask_writes;
	unsigned n_words, resets, aborts, unit_resets, bus_resets;
	uint64_t state_at, req_at[RING_PAGES], cmp_at[RING_PAGES], msg_at;
	uint32_t seen;
	struct pvscsi_req held[HELD];
	unsigned n_held;
};

static void *at(const struct adapter *a, uint64_t iova, size_t length)
{
	assert_true(a->master);
	return rig_memory(a->rig, iova, length);
}

static struct pvscsi_state *state_of(struct adapter *a)
{
	return at(a, a->state_at, sizeof(struct pvscsi_state));
}

/* ---- rings */

static void complete(struct adapter *a, const struct pvscsi_cmp *cmp)
{
	uint32_t prod = hba_get32(state_of(a)->cmp_prod), slot = prod % CMPS,
		 per_page = PVSCSI_PAGE / sizeof(*cmp);

	*(struct pvscsi_cmp *)at(a, a->cmp_at[slot / per_page] + slot % per_page * sizeof(*cmp),
				 sizeof(*cmp)) = *cmp;
	hba_publish32(&state_of(a)->cmp_prod, prod + 1);
}

static void end_request(struct adapter *a, const struct pvscsi_req *req, uint16_t host)
{
	complete(a, &(struct pvscsi_cmp) { .context = req->context, .host = hba_le16_of(host) });
}

static void move(struct adapter *a, const struct pvscsi_req *req, uint8_t *bytes, size_t length,
		 bool to_host)
{
	bool list = hba_get32(req->flags) & PVSCSI_REQ_LIST;
	const struct pvscsi_sge *sge = list ? at(a, hba_get64(req->data), sizeof(*sge)) : NULL;
	size_t all = hba_get64(req->data_len) < length ? hba_get64(req->data_len) : length, piece;

	for (size_t done = 0; done < all; done += piece, sge = list ? sge + 1 : NULL) {
		uint64_t iova = list ? hba_get64(sge->address) : hba_get64(req->data);
		size_t room = list ? hba_get32(sge->length) : all;
		uint8_t *p = at(a, iova, room);

		piece = room < all - done ? room : all - done;
		memcpy(to_host ? p : bytes + done, to_host ? bytes + done : p, piece);
	}
}

static void execute(struct adapter *a, const struct pvscsi_req *req)
{
	static uint8_t bytes[RIG_DATA];
	struct pvscsi_cmp cmp = { .context = req->context };
	struct rig_answer answer;

	if (req->target) {
		end_request(a, req, PVSCSI_HOST_SELECT_TIMEOUT);
		return;
	}
	if (hba_get32(req->flags) & PVSCSI_REQ_TO_DEVICE)
		move(a, req, bytes, sizeof(bytes), false);
	answer = rig_execute(a->rig, req->cdb, bytes, hba_get64(req->data_len));
	cmp.scsi = hba_le16_of(answer.status);
	cmp.sense_len = hba_le32_of(answer.sense_len);
	memcpy(at(a, hba_get64(req->sense), hba_get32(req->sense_len)), answer.sense,
	       answer.sense_len);
	if (answer.length) {
		memcpy(bytes, answer.data, answer.length);
		move(a, req, bytes, answer.length, true);
	}
	complete(a, &cmp);
}

static void take_requests(struct adapter *a)
{
	uint32_t prod = hba_get32(state_of(a)->req_prod),
		 per_page = PVSCSI_PAGE / sizeof(struct pvscsi_req);

	while (a->seen != prod) {
		uint32_t slot = a->seen++ % REQS;
		struct pvscsi_req req = *(struct pvscsi_req *)at(
			a, a->req_at[slot / per_page] + slot % per_page * sizeof(req), sizeof(req));

		if (!a->keep_cons)
			hba_publish32(&state_of(a)->req_cons, a->seen);
		if (a->hold)
			a->held[a->n_held++ % HELD] = req;
		else
			execute(a, &req);
	}
}

static void message(struct adapter *a, uint32_t type, uint32_t target)
{
	uint32_t prod = hba_get32(state_of(a)->msg_prod);
	struct pvscsi_msg *ring = at(a, a->msg_at, PVSCSI_PAGE);

	ring[prod % (PVSCSI_PAGE / sizeof(*ring))] =
		(struct pvscsi_msg) { .type = hba_le32_of(type), .target = hba_le32_of(target) };
	hba_publish32(&state_of(a)->msg_prod, prod + 1);
}

/* ---- registers */

static struct adapter *adapter_of(struct script *s)
{
	return rig_of(s)->of_chip;
}

static void set_up_rings(struct adapter *a)
{
	struct pvscsi_setup_rings rings;

	memcpy(&rings, a->words, sizeof(rings));
	assert_int_equal(hba_get32(rings.req_pages), RING_PAGES);
	assert_int_equal(hba_get32(rings.cmp_pages), RING_PAGES);
	a->state_at = hba_get64(rings.state_page) * PVSCSI_PAGE;
	for (unsigned i = 0; i < RING_PAGES; i++) {
		a->req_at[i] = hba_get64(rings.req_page[i]) * PVSCSI_PAGE;
		a->cmp_at[i] = hba_get64(rings.cmp_page[i]) * PVSCSI_PAGE;
	}
	a->seen = 0;
}

static void end_held(struct adapter *a, const struct pvscsi_abort *victim, uint16_t host)
{
	for (unsigned i = 0; i < a->n_held && !a->forget_abort;)
		if (!victim || hba_get64(a->held[i].context) == hba_get64(victim->context)) {
			end_request(a, &a->held[i], host);
			a->held[i] = a->held[--a->n_held];
		} else {
			i++;
		}
}

static void run_command(struct adapter *a)
{
	struct pvscsi_abort victim;
	struct pvscsi_setup_messages messages;

	if (a->command == PVSCSI_CMD_SETUP_RINGS && a->n_words == SETUP_WORDS) {
		set_up_rings(a);
	} else if (a->command == PVSCSI_CMD_SETUP_MESSAGES && a->n_words == MESSAGE_WORDS) {
		memcpy(&messages, a->words, sizeof(messages));
		a->msg_at = hba_get64(messages.page[0]) * PVSCSI_PAGE;
	} else if (a->command == PVSCSI_CMD_ABORT && a->n_words == sizeof(victim) / 4) {
		memcpy(&victim, a->words, sizeof(victim));
		a->aborts++;
		end_held(a, &victim, PVSCSI_HOST_ABORTED);
	} else if (a->command == PVSCSI_CMD_RESET_DEVICE &&
		   a->n_words == sizeof(struct pvscsi_reset_device) / 4) {
		a->unit_resets++;
		end_held(a, NULL, PVSCSI_HOST_BUS_RESET);
	}
}

static void command_written(struct script *s, const struct script_step *step, uint64_t offset,
			    uint64_t *value)
{
	struct adapter *a = adapter_of(s);

	(void)step;
	(void)offset;
	a->command = (uint32_t)*value;
	a->n_words = 0;
	if (a->command == PVSCSI_CMD_ADAPTER_RESET) {
		a->resets++;
		a->n_held = 0;
	} else if (a->command == PVSCSI_CMD_RESET_BUS) {
		a->bus_resets++;
		end_held(a, NULL, PVSCSI_HOST_BUS_RESET);
	}
}

static void master_on(struct script *s, const struct script_step *step, uint64_t offset,
		      uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	adapter_of(s)->master = true;
}

static void master_off(struct script *s, const struct script_step *step, uint64_t offset,
		       uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	adapter_of(s)->master = false;
}

static void word_written(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	struct adapter *a = adapter_of(s);

	(void)step;
	(void)offset;
	assert_true(a->n_words < WORDS);
	a->words[a->n_words++] = htole32((uint32_t)*value);
	run_command(a);
}

static void status_read(struct script *s, const struct script_step *step, uint64_t offset,
			uint64_t *value)
{
	(void)step;
	(void)offset;
	*value = adapter_of(s)->no_messages ? UINT32_MAX : 0;
}

static void kicked(struct script *s, const struct script_step *step, uint64_t offset,
		   uint64_t *value)
{
	(void)step;
	(void)offset;
	(void)value;
	take_requests(adapter_of(s));
}

static void mask_written(struct script *s, const struct script_step *step, uint64_t offset,
			 uint64_t *value)
{
	(void)step;
	(void)offset;
	adapter_of(s)->mask = (uint32_t)*value;
	adapter_of(s)->mask_writes++;
}

static void id_read(struct script *s, const struct script_step *step, uint64_t offset,
		    uint64_t *value)
{
	(void)s;
	(void)step;
	(void)offset;
	*value = PVSCSI_DEVICE << 16 | PVSCSI_VENDOR;
}

#define REGISTER(what, where, function)                                                           \
	{                                                                                         \
		.kind = (what), .offset = (where), .width = 4, .any = true, .times = SCRIPT_EVER, \
		.act = (function)                                                                 \
	}

static const struct script_step any_order[] = {
	REGISTER(SCRIPT_CONFIG_READ, 0, id_read),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_COMMAND, command_written),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_COMMAND_DATA, word_written),
	REGISTER(SCRIPT_BAR_READ, PVSCSI_COMMAND_STATUS, status_read),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_INTR_STATUS, NULL),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_INTR_MASK, mask_written),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_KICK_NON_RW, kicked),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_KICK_RW, kicked),
	{ .kind = SCRIPT_MASTER_ON, .times = SCRIPT_EVER, .act = master_on },
	{ .kind = SCRIPT_MASTER_OFF, .times = SCRIPT_EVER, .act = master_off },
};

/*
 * The order that must be: quiet and reset before memory is in reach, the rings word by word, and
 * off in the end.
 */
static const struct script_step in_order[] = {
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_INTR_STATUS, NULL),
	{ .kind = SCRIPT_BAR_WRITE, .offset = PVSCSI_INTR_MASK, .width = 4, .value = 0 },
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND,
	  .width = 4,
	  .value = PVSCSI_CMD_ADAPTER_RESET,
	  .act = command_written },
	{ .kind = SCRIPT_BAR_READ, .offset = PVSCSI_COMMAND_STATUS, .width = 4 },
	{ .kind = SCRIPT_MASTER_ON, .act = master_on },
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND,
	  .width = 4,
	  .value = PVSCSI_CMD_SETUP_RINGS,
	  .act = command_written },
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND_DATA,
	  .width = 4,
	  .any = true,
	  .times = SETUP_WORDS,
	  .act = word_written },
	{ .kind = SCRIPT_BAR_READ, .offset = PVSCSI_COMMAND_STATUS, .width = 4 },
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND,
	  .width = 4,
	  .value = PVSCSI_CMD_SETUP_MESSAGES,
	  .act = command_written },
	{ .kind = SCRIPT_BAR_READ, .offset = PVSCSI_COMMAND_STATUS, .width = 4 },
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND,
	  .width = 4,
	  .value = PVSCSI_CMD_SETUP_MESSAGES,
	  .act = command_written },
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND_DATA,
	  .width = 4,
	  .any = true,
	  .times = MESSAGE_WORDS,
	  .act = word_written },
	{ .kind = SCRIPT_BAR_READ, .offset = PVSCSI_COMMAND_STATUS, .width = 4 },
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_INTR_STATUS, NULL),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_INTR_MASK, NULL),
	REGISTER(SCRIPT_BAR_WRITE, PVSCSI_KICK_NON_RW, kicked),
	{ .kind = SCRIPT_BAR_WRITE,
	  .offset = PVSCSI_COMMAND,
	  .width = 4,
	  .value = PVSCSI_CMD_ADAPTER_RESET,
	  .act = command_written },
	{ .kind = SCRIPT_BAR_READ, .offset = PVSCSI_COMMAND_STATUS, .width = 4 },
	{ .kind = SCRIPT_MASTER_OFF },
};

/* ---- made and ended */

static struct adapter *adapter_new(const struct script_step *steps, size_t n)
{
	struct adapter *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->rig = rig_new(a);
	a->rig->script.info = (struct hba_bus_info) { .vendor = PVSCSI_VENDOR,
						      .device = PVSCSI_DEVICE,
						      .page_bytes = 4096,
						      .bar_length = { BAR_BYTES } };
	a->rig->script.steps = steps;
	a->rig->script.n_steps = n;
	return a;
}

static struct adapter *usual(void)
{
	return adapter_new(any_order, sizeof(any_order) / sizeof(any_order[0]));
}

static struct hba_lun *up(struct adapter *a)
{
	return rig_up(a->rig, &pvscsi_driver);
}

static void end(struct adapter *a)
{
	rig_down(a->rig);
	free(a);
}

/* One TEST UNIT READY that the adapter keeps. */
static struct adapter *with_one_held(struct hba_lun **ret_lun, struct test_io *io)
{
	struct adapter *a = usual();

	*ret_lun = up(a);
	a->hold = true;
	rig_ready(*ret_lun, io);
	rig_send(a->rig);
	assert_int_equal(a->n_held, 1);
	return a;
}

/* ---- tests */

static void bring_up_has_its_order(void **state)
{
	struct adapter *a = adapter_new(in_order, sizeof(in_order) / sizeof(in_order[0]));

	(void)state;
	up(a);
	end(a);
}

static void it_works_when_the_adapter_does(void **state)
{
	struct adapter *a = usual();

	(void)state;
	rig_copies(a->rig, up(a));
	end(a);
}

/* A write that changes nothing is not sent: on some buses it costs as much as a command. */
static void the_mask_is_written_when_it_changes(void **state)
{
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	rig_ready(lun, &io);
	rig_wait(a->rig, &io, 1);
	while (hba_controller_arm(a->rig->c) != 0)
		hba_controller_run(a->rig->c, 1);
	assert_int_not_equal(a->mask, 0);
	a->mask_writes = 0;
	for (unsigned i = 0; i < HELD; i++) {
		hba_controller_run(a->rig->c, 1);
		assert_int_equal(hba_controller_arm(a->rig->c), 0);
	}
	assert_int_equal(a->mask_writes, 0);
	hba_controller_run(a->rig->c, 1);
	rig_ready(lun, &io);
	rig_wait(a->rig, &io, 2);
	assert_int_equal(a->mask, 0);
	assert_int_equal(a->mask_writes, 1);
	end(a);
}

/* Without power it reaches no memory, and afterwards all of it again. */
static void power_goes_and_comes(void **state)
{
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);

	(void)state;
	assert_int_equal(hba_controller_set_power(a->rig->c, HBA_POWER_OFF), 0);
	assert_false(a->master);
	assert_int_equal(hba_controller_set_power(a->rig->c, HBA_POWER_ON), 0);
	rig_copies(a->rig, lun);
	end(a);
}

static void stop_after_registers_that_are_not_there(void **state)
{
	struct adapter *a = usual();

	(void)state;
	a->rig->script.info.bar_length[0] = 0;
	rig_open(a->rig, &pvscsi_driver);
	assert_int_equal(hba_controller_start(a->rig->c), -ENOENT);
	test_no_violation(a->rig->c);
	end(a);
}

static void an_adapter_without_messages_works(void **state)
{
	struct adapter *a = usual();
	struct test_io io = { 0 };

	(void)state;
	a->no_messages = true;
	rig_works(a->rig, up(a), &io);
	end(a);
}

/*
 * An application's memory whose ranges do not follow one another: data across their border are
 * found by a list.
 */
static void data_across_physical_ranges(void **state)
{
	enum {
		PIECE = 2 << 20,
		MEMORY = 2 * PIECE + 4096,
		BLOCKS = 64,
		BYTES = BLOCKS * RIG_BLOCK
	};
	struct adapter *a = usual();
	struct hba_mapping *m = NULL;
	struct hba_piece piece = { .length = BYTES };
	struct test_io io = { 0 };
	struct hba_lun *lun;
	uint8_t *memory;

	(void)state;
	a->rig->script.info.facts &= ~(uint32_t)HBA_BUS_IOVA_IS_PHYSICAL;
	a->rig->script.piece_bytes = PIECE;
	lun = up(a);
	assert_int_equal(hba_mapping_create(a->rig->c, HBA_DEVICE_BOTH, MEMORY, 0, &m), 0);
	memory = hba_mapping_address(m);
	for (size_t i = 0; i < BYTES; i++)
		memory[PIECE - BYTES / 2 + i] = (uint8_t)(i % 251);
	piece.region = hba_mapping_region(m);
	/* By its number, then by its address; neither may be bounced. */
	piece.offset = PIECE - BYTES / 2;
	rig_direct(lun, &io, true, BLOCKS, &piece, NULL);
	rig_ends(a->rig, &io, 1, HBA_GOOD);
	rig_direct(lun, &io, false, BLOCKS, NULL, memory + 2 * PIECE - BYTES + 512);
	rig_ends(a->rig, &io, 2, HBA_GOOD);
	assert_memory_equal(memory + 2 * PIECE - BYTES + 512, memory + PIECE - BYTES / 2, BYTES);
	assert_memory_equal(a->rig->medium, memory + PIECE - BYTES / 2, BYTES);
	assert_int_equal(hba_mapping_release(m), 0);
	test_no_violation(a->rig->c);
	end(a);
}

static void a_producer_index_beyond_the_ring_is_not_followed(void **state)
{
	static const uint32_t jumps[] = { CMPS + 1, 5000, 0x80000000U, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		struct hba_lun *lun;
		struct test_io io = { 0 };
		struct adapter *a = with_one_held(&lun, &io);
		uint32_t prod = hba_get32(state_of(a)->cmp_prod);

		hba_publish32(&state_of(a)->cmp_prod, prod + jumps[i]);
		assert_int_equal(hba_controller_run(a->rig->c, 64), 0);
		test_turns(a->rig->c, 50);
		assert_int_equal(io.done, 0);
		assert_int_equal(hba_get32(state_of(a)->cmp_cons), prod);
		rig_told(a->rig, "completions in a ring of 1024");
		/* Once the index is right again, so is all else. */
		hba_publish32(&state_of(a)->cmp_prod, prod);
		execute(a, &a->held[0]);
		rig_ends(a->rig, &io, 1, HBA_GOOD);
		end(a);
	}
}

static void a_message_index_beyond_the_ring_is_not_followed(void **state)
{
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	/* What lies in the ring would take the target away. */
	for (unsigned i = 0; i < 32; i++)
		((struct pvscsi_msg *)at(a, a->msg_at, PVSCSI_PAGE))[i].type =
			hba_le32_of(PVSCSI_MSG_REMOVED);
	hba_publish32(&state_of(a)->msg_prod, 1000);
	test_turns(a->rig->c, 50);
	assert_int_equal(hba_get32(state_of(a)->msg_cons), 0);
	rig_told(a->rig, "the device shows 1000 messages in a ring of 32");
	rig_works(a->rig, lun, &io);
	end(a);
}

/*
 * What is to wait for such an index to move would wait for ever: it runs out of time, and recovery
 * puts the adapter right.
 */
static void a_consumer_index_that_cannot_be_leads_to_a_reset(void **state)
{
	static const uint32_t jumps[] = { 1, 7, 0x80000000U, (uint32_t) - (REQS + 1) };

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		struct adapter *a = usual();
		struct hba_lun *lun = up(a);
		struct test_io io = { 0 };

		hba_publish32(&state_of(a)->req_cons, hba_get32(state_of(a)->req_prod) + jumps[i]);
		rig_ready(lun, &io);
		rig_send(a->rig);
		rig_told(a->rig, "req_cons is ");
		rig_tick(a->rig, 20);
		rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
		assert_int_equal(a->resets, 2);
		rig_works(a->rig, lun, &io);
		end(a);
	}
}

/* A completion may come before the index that says that its request was read; later, it may not. */
static void a_consumer_index_may_be_late(void **state)
{
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	a->keep_cons = true;
	while (hba_get32(state_of(a)->req_prod) - hba_get32(state_of(a)->req_cons) < REQS)
		rig_works(a->rig, lun, &io);
	io = (struct test_io) { 0 };
	rig_ready(lun, &io);
	test_turns(a->rig->c, 20);
	assert_int_equal(io.done, 0);
	a->keep_cons = false;
	hba_publish32(&state_of(a)->req_cons, a->seen);
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_GOOD);
	test_no_violation(a->rig->c);
	end(a);
}

static void a_consumer_index_that_never_moves_leads_to_a_reset(void **state)
{
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	a->keep_cons = true;
	while (hba_get32(state_of(a)->req_prod) - hba_get32(state_of(a)->req_cons) < REQS)
		rig_works(a->rig, lun, &io);
	io = (struct test_io) { 0 };
	rig_ready(lun, &io);
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
	rig_told(a->rig, "req_cons is ");
	rig_works(a->rig, lun, &io);
	end(a);
}

static void unknown_and_old_cookies_are_refused(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct adapter *a = with_one_held(&lun, &io);
	uint64_t cookie = hba_get64(a->held[0].context);
	const uint64_t wrong[] = { 0,
				   1,
				   UINT64_MAX,
				   cookie - (UINT64_C(1) << 32),
				   cookie + (UINT64_C(1) << 32),
				   cookie ^ 0xffff };
	struct hba_event e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		complete(a, &(struct pvscsi_cmp) { .context = hba_le64_of(wrong[i]) });
	test_turns(a->rig->c, 10);
	assert_int_equal(io.done, 0);
	assert_true(test_event(a->rig->c, HBA_EVENT_DEVICE_ERROR, &e));
	execute(a, &a->held[0]);
	execute(a, &a->held[0]); /* twice */
	rig_wait(a->rig, &io, 1);
	test_turns(a->rig->c, 10);
	assert_int_equal(io.done, 1);
	end(a);
}

static void a_late_completion_does_not_end_the_next_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct adapter *a = with_one_held(&lun, &io);
	struct pvscsi_req first = a->held[0];

	(void)state;
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT); /* aborted */
	assert_int_equal(a->aborts, 1);
	rig_tick(a->rig, 0);
	for (unsigned i = 0; i < REQS - 3; i++) /* whoever has that frame now is among them */
		rig_ready(lun, &io);
	test_turns(a->rig->c, 20);
	execute(a, &first);
	test_turns(a->rig->c, 20);
	assert_int_equal(io.done, 1);
	while (a->n_held)
		execute(a, &a->held[--a->n_held]);
	rig_wait(a->rig, &io, REQS - 2);
	end(a);
}

static void lengths_out_of_range_are_cut(void **state)
{
	static const uint64_t lengths[] = {
		0, 1, RIG_BLOCK, RIG_BLOCK + 1, UINT32_MAX, UINT64_MAX
	};
	static uint8_t buffer[RIG_BLOCK];
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct pvscsi_cmp cmp = { .data_len = hba_le64_of(lengths[i]),
					  .host = hba_le16_of(PVSCSI_HOST_UNDERRUN) };

		a->hold = true;
		a->n_held = 0;
		rig_read(lun, &io, buffer, 1);
		rig_send(a->rig);
		cmp.context = a->held[0].context;
		complete(a, &cmp);
		rig_wait(a->rig, &io, io.done + 1);
		assert_true(io.last.bytes <= RIG_BLOCK);

		a->n_held = 0;
		rig_ready(lun, &io);
		rig_send(a->rig);
		cmp = (struct pvscsi_cmp) { .context = a->held[0].context,
					    .scsi = hba_le16_of(2),
					    .sense_len = hba_le32_of((uint32_t)lengths[i]) };
		memcpy(at(a, hba_get64(a->held[0].sense), 18),
		       (uint8_t[18]) { 0x70, 0, 5, [7] = 10, [12] = 0x24 }, 18);
		complete(a, &cmp);
		rig_ends(a->rig, &io, io.done + 1, HBA_CHECK_CONDITION);
		assert_true(io.last.sense_len <= 96);
	}
	test_no_violation(a->rig->c);
	end(a);
}

static void every_host_status_has_an_end(void **state)
{
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	struct test_io io = { 0 };

	(void)state;
	a->hold = true;
	rig_tick(a->rig, 5); /* what was never sent is sent again after a while */
	for (unsigned host = 0; host <= 0x100; host++) {
		unsigned done = io.done;

		a->n_held = 0;
		rig_ready(lun, &io);
		rig_send(a->rig);
		for (unsigned i = 0; i < MANY_TURNS && io.done == done; i++) {
			if (a->n_held)
				end_request(a, &a->held[--a->n_held], (uint16_t)host);
			rig_turn(a->rig, i);
		}
		assert_int_equal(io.done, done + 1);
		if (host == PVSCSI_HOST_SELECT_TIMEOUT)
			assert_int_equal(io.last.outcome, HBA_NOT_PRESENT);
		if (host == PVSCSI_HOST_TIMEOUT)
			assert_int_equal(io.last.outcome, HBA_PROTOCOL_TIMEOUT);
		if (host == PVSCSI_HOST_NO_RESPONSE)
			assert_int_equal(io.last.outcome, HBA_NOT_RESPONDING);
	}
	end(a);
}

static void a_timeout_goes_up_the_ladder(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct adapter *a = with_one_held(&lun, &io);

	(void)state;
	a->forget_abort = true;
	a->hold = false;
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_TASK_TIMEOUT);
	assert_int_equal(a->aborts, 1);
	assert_int_equal(a->unit_resets, 2); /* of the unit, of the target */
	assert_int_equal(a->bus_resets, 1);
	assert_int_equal(a->resets, 2);
	rig_works(a->rig, lun, &io);
	end(a);
}

struct asked {
	struct hba_management m;
	unsigned done_before; /* of the victims */
	const struct test_io *victims;
	bool answered;
	enum hba_service_response response;
};

static void answered(struct hba_management *m, enum hba_service_response response)
{
	struct asked *a = (struct asked *)(void *)m;

	a->done_before = a->victims->done;
	a->response = response;
	a->answered = true;
}

/*
 * As an adapter of silicon does, and QEMU's beside its guest: the register is done, the ring
 * follows.
 */
static void a_function_waits_for_its_victims(void **state)
{
	static const enum hba_tmf functions[] = { HBA_ABORT_TASK, HBA_LOGICAL_UNIT_RESET,
						  HBA_TARGET_RESET };

	(void)state;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		struct hba_lun *lun;
		struct test_io io = { 0 };
		struct adapter *a = with_one_held(&lun, &io);
		struct asked asked = {
			.m = { .function = functions[i], .lun = lun, .done = answered },
			.victims = &io
		};

		a->forget_abort = true;
		if (functions[i] == HBA_ABORT_TASK)
			asked.m.victim = hba_task_by_cookie(hba_controller_queue(a->rig->c, 0),
							    hba_get64(a->held[0].context));
		assert_int_equal(hba_manage(&asked.m), 0);
		test_turns(a->rig->c, 20);
		assert_false(asked.answered);
		end_request(a, &a->held[0], PVSCSI_HOST_ABORTED);
		test_turns(a->rig->c, 4);
		assert_true(asked.answered);
		assert_int_equal(asked.response, HBA_FUNCTION_COMPLETE);
		assert_int_equal(asked.done_before, 1);
		test_no_violation(a->rig->c);
		end(a);
	}
}

static void a_function_whose_victims_never_come_has_failed(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct adapter *a = with_one_held(&lun, &io);
	struct asked asked = {
		.m = { .function = HBA_LOGICAL_UNIT_RESET, .lun = lun, .done = answered },
		.victims = &io
	};

	(void)state;
	a->forget_abort = true;
	assert_int_equal(hba_manage(&asked.m), 0);
	rig_tick(a->rig, 20);
	for (unsigned i = 0; i < 1000 && !asked.answered; i++)
		test_turns(a->rig->c, 1);
	assert_true(asked.answered);
	assert_int_equal(asked.response, HBA_DELIVERY_FAILURE);
	end(a);
}

/* QEMU's model never ends a request whose flag is not what it takes its command for. */
static void no_flag_contradicts_the_command(void **state)
{
	static const struct {
		uint8_t opcode, direction;
		bool sent;
		uint32_t flag;
	} rows[] = {
		{ 0x28, HBA_FROM_TARGET, true, PVSCSI_REQ_TO_HOST },
		{ 0x2a, HBA_TO_TARGET, true, PVSCSI_REQ_TO_DEVICE },
		{ 0x89, HBA_TO_TARGET, true, 0 }, /* COMPARE AND WRITE */
		{ 0xc1, HBA_TO_TARGET, true, 0 },
		{ 0xc1, HBA_FROM_TARGET, true, PVSCSI_REQ_TO_HOST },
		{ 0x28, HBA_TO_TARGET, false, 0 },
		{ 0x2a, HBA_FROM_TARGET, false, 0 },
		{ 0x42, HBA_FROM_TARGET, false, 0 }, /* UNMAP */
	};
	const uint32_t flags = PVSCSI_REQ_NO_DATA | PVSCSI_REQ_TO_HOST | PVSCSI_REQ_TO_DEVICE;
	struct adapter *a = usual();
	struct hba_lun *lun = up(a);
	uint8_t buffer[RIG_BLOCK];

	(void)state;
	a->hold = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct test_io io = { 0 };
		struct hba_task *t;

		a->n_held = 0;
		assert_int_equal(hba_task_get(lun, sizeof(buffer), NULL, &t), 0);
		test_fill_rw(t, rows[i].direction == HBA_TO_TARGET, 0, 1, buffer);
		t->cdb[0] = rows[i].opcode;
		assert_int_equal(hba_submit(t, test_done, &io), 0);
		test_turns(a->rig->c, 4);
		assert_int_equal(a->n_held, rows[i].sent);
		if (rows[i].sent) {
			assert_int_equal(hba_get32(a->held[0].flags) & flags, rows[i].flag);
			end_request(a, &a->held[0], PVSCSI_HOST_SUCCESS);
		}
		rig_tick(a->rig, 20); /* refused, it is tried again a few times */
		rig_wait(a->rig, &io, 1);
		rig_tick(a->rig, 0);
		assert_int_equal(io.last.outcome, rows[i].sent ? HBA_GOOD : HBA_NOT_DELIVERED);
		hba_task_put(t);
	}
	end(a);
}

static void messages_of_any_kind_are_survived(void **state)
{
	struct adapter *a = usual();
	struct hba_event e;

	(void)state;
	up(a);
	while (hba_event_next(a->rig->c, &e))
		;
	message(a, PVSCSI_MSG_ADDED, 64);
	message(a, PVSCSI_MSG_ADDED, UINT32_MAX);
	message(a, PVSCSI_MSG_REMOVED, 5);
	message(a, 77, 0);
	test_turns(a->rig->c, 50);
	assert_non_null(hba_lun_next(a->rig->c, NULL));
	message(a, PVSCSI_MSG_REMOVED, 0);
	test_turns(a->rig->c, 2000);
	assert_true(test_event(a->rig->c, HBA_EVENT_LUN_LEFT, &e));
	message(a, PVSCSI_MSG_ADDED, 0);
	test_turns(a->rig->c, 2000);
	for (unsigned i = 0; i < 1000 && !hba_lun_next(a->rig->c, NULL); i++)
		rig_tick(a->rig, 1), test_turns(a->rig->c, 10);
	assert_non_null(hba_lun_next(a->rig->c, NULL));
	end(a);
}

static void pulled_out_ends_every_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct adapter *a = with_one_held(&lun, &io);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		rig_ready(lun, &io);
	rig_send(a->rig);
	script_remove(&a->rig->script);
	rig_ready(lun, &io);
	rig_ends(a->rig, &io, 10, HBA_NOT_PRESENT);
	rig_until(a->rig, HBA_GONE);
	end(a);
}

static void all_ones_end_every_command(void **state)
{
	struct hba_lun *lun;
	struct test_io io = { 0 };
	struct adapter *a = with_one_held(&lun, &io);

	(void)state;
	script_silence(&a->rig->script);
	rig_tick(a->rig, 20);
	rig_ends(a->rig, &io, 1, HBA_NOT_PRESENT);
	rig_until(a->rig, HBA_GONE);
	end(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bring_up_has_its_order),
		cmocka_unit_test(it_works_when_the_adapter_does),
		cmocka_unit_test(the_mask_is_written_when_it_changes),
		cmocka_unit_test(power_goes_and_comes),
		cmocka_unit_test(stop_after_registers_that_are_not_there),
		cmocka_unit_test(an_adapter_without_messages_works),
		cmocka_unit_test(data_across_physical_ranges),
		cmocka_unit_test(a_producer_index_beyond_the_ring_is_not_followed),
		cmocka_unit_test(a_message_index_beyond_the_ring_is_not_followed),
		cmocka_unit_test(a_consumer_index_that_cannot_be_leads_to_a_reset),
		cmocka_unit_test(a_consumer_index_may_be_late),
		cmocka_unit_test(a_consumer_index_that_never_moves_leads_to_a_reset),
		cmocka_unit_test(unknown_and_old_cookies_are_refused),
		cmocka_unit_test(a_late_completion_does_not_end_the_next_command),
		cmocka_unit_test(lengths_out_of_range_are_cut),
		cmocka_unit_test(every_host_status_has_an_end),
		cmocka_unit_test(a_timeout_goes_up_the_ladder),
		cmocka_unit_test(a_function_waits_for_its_victims),
		cmocka_unit_test(a_function_whose_victims_never_come_has_failed),
		cmocka_unit_test(no_flag_contradicts_the_command),
		cmocka_unit_test(messages_of_any_kind_are_survived),
		cmocka_unit_test(pulled_out_ends_every_command),
		cmocka_unit_test(all_ones_end_every_command),
	};

	return cmocka_run_group_tests_name("script-pvscsi", tests, NULL, NULL);
}
