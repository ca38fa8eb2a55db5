/* SPDX-License-Identifier: MIT */
/*
 * persist.c: PERSISTENT RESERVE IN and OUT (SPC-4 5.12, 6.15, 6.16).
 *
 * OUT works on a copy: it is checked, changed, written to its file if it shall outlive a power
 * loss, and only then put in place and reported to other nexuses. So a disk that cannot be written
 * leaves everything as it was. Writing the file waits for its disk; that is once per change of a
 * reservation that shall last, never in the way of data.
 *
 * Not done: other nexuses' registrations (SPEC_I_PT, REGISTER AND MOVE), and ALL_TG_PT, for there
 * is one port.
 */
#include "base/base.h"
#include "base/endian.h"
#include "target/commands.h"

#include <string.h>

enum { HIGH_BIT = 7, TYPE_MASK = 0x0f, TYPE_HIGH_BIT = 3, SCOPE_SHIFT = 4 };

static bool is_type(uint8_t type)
{
	return type < RESERVATION_TYPES && (RESERVATION_TYPE_MASK & 1U << type);
}

static bool is_for_all(uint8_t type)
{
	return type == RESERVE_WRITE_ALL || type == RESERVE_ACCESS_ALL;
}

/* ---- IN */

enum {
	IN_HEADER = 8,
	KEY_BYTES = 8,
	RESERVATION_BYTES = 16,
	STATUS_BYTES = 24,
	TRANSPORT_ID_BYTES = 24
};
enum { IN_MAX = IN_HEADER + TARGET_NEXUSES * (STATUS_BYTES + TRANSPORT_ID_BYTES) };

static size_t write_in_header(const struct registrations *r, size_t body, uint8_t *to)
{
	put_be32(to, r->generation);
	put_be32(to + 4, (uint32_t)body);
	return IN_HEADER + body;
}

static size_t write_keys(const struct registrations *r, uint8_t *to)
{
	size_t n = 0;

	for (unsigned i = 0; i < TARGET_NEXUSES; i++) {
		if (!r->keys[i])
			continue;
		put_be64(to + IN_HEADER + n, r->keys[i]);
		n += KEY_BYTES;
	}
	return write_in_header(r, n, to);
}

static size_t write_reservation(const struct registrations *r, uint8_t *to)
{
	if (!r->type)
		return write_in_header(r, 0, to);
	/* Where all registrants hold it, no key is the holder's. */
	put_be64(to + IN_HEADER, is_for_all(r->type) ? 0 : r->keys[r->holder]);
	to[IN_HEADER + 13] = r->type;
	return write_in_header(r, RESERVATION_BYTES, to);
}

static size_t write_capabilities(const struct registrations *r, uint8_t *to)
{
	enum { BYTES = 8, CRH = 0x10, PTPL_C = 0x01, TMV = 0x80, PTPL_A = 0x01 };

	put_be16(to, BYTES);
	to[2] = (uint8_t)(CRH | (r->path ? PTPL_C : 0));
	to[3] = (uint8_t)(TMV | (r->through_power_loss ? PTPL_A : 0));
	/* The bits of types 0 to 7 are in the first byte, the others' in the second. */
	to[4] = RESERVATION_TYPE_MASK & 0xff;
	to[5] = RESERVATION_TYPE_MASK >> 8;
	return BYTES;
}

/*
 * A TransportID of the parallel interface: an initiator is a number on the bus, as it is to this
 * disk (SPC-4 7.6.4.3).
 */
static void write_transport_id(unsigned nexus, uint8_t *to)
{
	enum { PROTOCOL_SPI = 1, PORT = 1 };

	to[0] = PROTOCOL_SPI;
	put_be16(to + 2, (uint16_t)nexus);
	put_be16(to + 6, PORT);
}

static size_t write_full_status(const struct registrations *r, uint8_t *to)
{
	enum { R_HOLDER = 0x01, PORT = 1 };
	size_t n = 0;

	for (unsigned i = 0; i < TARGET_NEXUSES; i++) {
		uint8_t *at = to + IN_HEADER + n;

		if (!r->keys[i])
			continue;
		put_be64(at, r->keys[i]);
		if (target_holds(r, i)) {
			at[12] = R_HOLDER;
			at[13] = r->type;
		}
		put_be16(at + 18, PORT);
		put_be32(at + 20, TRANSPORT_ID_BYTES);
		write_transport_id(i, at + STATUS_BYTES);
		n += STATUS_BYTES + TRANSPORT_ID_BYTES;
	}
	return write_in_header(r, n, to);
}

static int answer_in(struct target_command *c,
		     size_t (*write)(const struct registrations *r, uint8_t *to))
{
	struct target_state *s = target_lock(c->unit);
	uint8_t bytes[IN_MAX] = { 0 };
	bool reserved = s->reserver != TARGET_NO_NEXUS;
	size_t n = write(&s->registrations, bytes);

	target_unlock(c->unit);
	return reserved ? target_conflict(c) : target_answer(c, bytes, n, get_be16(c->cdb + 7));
}

int target_read_keys(struct target_command *c)
{
	return answer_in(c, write_keys);
}

int target_read_reservation(struct target_command *c)
{
	return answer_in(c, write_reservation);
}

int target_report_capabilities(struct target_command *c)
{
	return answer_in(c, write_capabilities);
}

int target_read_full_status(struct target_command *c)
{
	return answer_in(c, write_full_status);
}

/* ---- OUT */

enum {
	OUT_BYTES = 24,
	FLAGS_BYTE = 20,
	KEY_BYTE = 0,
	ACTION_KEY_BYTE = 8,
	APTPL = 0x01,
	APTPL_BIT = 0
};

/* One command at work. */
struct change {
	struct target_command *c;
	uint64_t key, action_key;
	uint8_t type, flags;
	struct registrations next;
	uint16_t told[TARGET_NEXUSES]; /* a bit per enum target_condition */
	uint8_t removed;               /* nexuses whose registration another nexus removed */
};

typedef int (*change_fn)(struct change *h); /* 0: done; 1: refused */

static void tell_others(struct change *h, enum target_condition condition)
{
	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		if (i != h->c->nexus && h->next.keys[i])
			h->told[i] |= (uint16_t)(1U << condition);
}

static void end_reservation(struct registrations *r)
{
	r->type = 0;
	r->holder = TARGET_NO_NEXUS;
}

static bool nobody_left(const struct registrations *r)
{
	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		if (r->keys[i])
			return false;
	return true;
}

static void unregister(struct registrations *r, unsigned nexus)
{
	bool held = target_holds(r, nexus);

	r->keys[nexus] = 0;
	if (held && (!is_for_all(r->type) || nobody_left(r)))
		end_reservation(r);
}

static int refuse_conflict(struct change *h)
{
	target_conflict(h->c);
	return 1;
}

static int set_lasting(struct change *h)
{
	if (!(h->flags & APTPL)) {
		h->next.through_power_loss = false;
		return 0;
	}
	if (!h->next.path) {
		target_refuse_parameter(h->c, FLAGS_BYTE, APTPL_BIT);
		return 1;
	}
	h->next.through_power_loss = true;
	return 0;
}

static int change_registration(struct change *h)
{
	uint8_t type = h->next.type;

	if (!h->action_key && !h->next.keys[h->c->nexus])
		return 0; /* it was not registered, and shall not be */
	if (set_lasting(h))
		return 1;
	h->next.generation++;
	if (h->action_key) {
		h->next.keys[h->c->nexus] = h->action_key;
		return 0;
	}
	unregister(&h->next, h->c->nexus);
	if (type >= RESERVE_WRITE_REGISTRANTS && !h->next.type)
		tell_others(h, TARGET_RESERVATIONS_RELEASED);
	return 0;
}

static int do_register(struct change *h)
{
	/* Not registered means key 0, and the key it must give is 0 then. */
	return h->key == h->next.keys[h->c->nexus] ? change_registration(h) : refuse_conflict(h);
}

static int check_key(struct change *h)
{
	uint64_t key = h->next.keys[h->c->nexus];

	return key && key == h->key ? 0 : refuse_conflict(h);
}

static int check_scope_and_type(struct change *h)
{
	if (h->c->cdb[2] >> SCOPE_SHIFT) {
		target_refuse_field(h->c, 2, HIGH_BIT);
		return 1;
	}
	if (!is_type(h->type)) {
		target_refuse_field(h->c, 2, TYPE_HIGH_BIT);
		return 1;
	}
	return 0;
}

static int do_reserve(struct change *h)
{
	struct registrations *r = &h->next;

	if (check_key(h) || check_scope_and_type(h))
		return 1;
	if (r->type)
		return target_holds(r, h->c->nexus) && r->type == h->type ? 0 : refuse_conflict(h);
	r->type = h->type;
	r->holder = (int8_t)h->c->nexus;
	return 0;
}

static int do_release(struct change *h)
{
	struct registrations *r = &h->next;
	uint8_t type = r->type;

	if (check_key(h))
		return 1;
	if (!target_holds(r, h->c->nexus))
		return 0;
	if (check_scope_and_type(h))
		return 1;
	if (h->type != type) {
		target_refuse(h->c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_RELEASE);
		return 1;
	}
	end_reservation(r);
	if (type >= RESERVE_WRITE_REGISTRANTS)
		tell_others(h, TARGET_RESERVATIONS_RELEASED);
	return 0;
}

static int do_clear(struct change *h)
{
	if (check_key(h))
		return 1;
	tell_others(h, TARGET_RESERVATIONS_PREEMPTED);
	memset(h->next.keys, 0, sizeof(h->next.keys));
	end_reservation(&h->next);
	h->next.generation++;
	return 0;
}

/* Remove whom the action key names (0: all), but for oneself if `spare`. Returns how many. */
static unsigned remove_named(struct change *h, bool spare)
{
	struct registrations *r = &h->next;
	unsigned n = 0;

	for (unsigned i = 0; i < TARGET_NEXUSES; i++) {
		bool self = i == h->c->nexus;

		if (!r->keys[i] || (h->action_key && r->keys[i] != h->action_key) ||
		    (self && spare))
			continue;
		unregister(r, i);
		n++;
		if (self)
			continue;
		h->removed |= (uint8_t)(1U << i);
		h->told[i] |= 1U << TARGET_REGISTRATIONS_PREEMPTED;
	}
	return n;
}

static int take_over(struct change *h)
{
	uint8_t type = h->next.type;

	if (check_scope_and_type(h))
		return 1;
	remove_named(h, true);
	/*
	 * The remaining registrants have another table now, whatever the old one was (SPC-4
	 * 5.12.11).
	 */
	if (type != h->type)
		tell_others(h, TARGET_RESERVATIONS_RELEASED);
	h->next.type = h->type;
	h->next.holder = (int8_t)h->c->nexus;
	h->next.generation++;
	return 0;
}

static int do_preempt(struct change *h)
{
	const struct registrations *r = &h->next;
	bool all = is_for_all(r->type);

	if (check_key(h))
		return 1;
	if (!h->action_key && !all) {
		target_refuse_parameter(h->c, ACTION_KEY_BYTE, HIGH_BIT);
		return 1;
	}
	if (r->type && (all ? !h->action_key : r->keys[r->holder] == h->action_key))
		return take_over(h);
	if (remove_named(h, false) == 0)
		return refuse_conflict(h);
	h->next.generation++;
	return 0;
}

static int take_parameters(struct change *h)
{
	uint8_t list[OUT_BYTES];

	if (get_be32(h->c->cdb + 5) != OUT_BYTES) {
		target_refuse(h->c, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH_ERROR);
		return 1;
	}
	if (target_take_list(h->c, list, OUT_BYTES, sizeof(list)))
		return 1;
	h->key = get_be64(list + KEY_BYTE);
	h->action_key = get_be64(list + ACTION_KEY_BYTE);
	h->type = h->c->cdb[2] & TYPE_MASK;
	h->flags = list[FLAGS_BYTE];
	if (h->flags & ~APTPL) {
		target_refuse_parameter(h->c, FLAGS_BYTE, (uint8_t)(31 - __builtin_clz(h->flags)));
		return 1;
	}
	return 0;
}

static void put_in_place(struct change *h, struct target_state *s)
{
	s->registrations = h->next;
	for (unsigned i = 0; i < TARGET_NEXUSES; i++)
		s->attention[i] |= h->told[i];
}

/* 0: done. 1: refused, and nothing has changed. */
static int make_change(struct change *h, struct target_state *s, change_fn change)
{
	if (s->reserver != TARGET_NO_NEXUS)
		return refuse_conflict(h);
	h->next = s->registrations;
	if (change(h))
		return 1;
	if ((h->next.through_power_loss || s->registrations.through_power_loss) &&
	    target_registrations_save(&h->next) < 0) {
		target_refuse(h->c, SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_TARGET_FAILURE);
		return 1;
	}
	put_in_place(h, s);
	return 0;
}

static int run_change(struct target_command *c, change_fn change, uint8_t *ret_removed)
{
	struct change h = { .c = c };
	int r = take_parameters(&h);

	if (r == 0) {
		r = make_change(&h, target_lock(c->unit), change);
		target_unlock(c->unit);
	}
	if (r == 0 && ret_removed)
		*ret_removed = h.removed;
	return r;
}

static int run_plain_change(struct target_command *c, change_fn change)
{
	run_change(c, change, NULL);
	return 0;
}

int target_pr_register(struct target_command *c)
{
	return run_plain_change(c, do_register);
}

int target_pr_register_and_ignore(struct target_command *c)
{
	return run_plain_change(c, change_registration);
}

int target_pr_reserve(struct target_command *c)
{
	return run_plain_change(c, do_reserve);
}

int target_pr_release(struct target_command *c)
{
	return run_plain_change(c, do_release);
}

int target_pr_clear(struct target_command *c)
{
	return run_plain_change(c, do_clear);
}

int target_pr_preempt(struct target_command *c)
{
	return run_plain_change(c, do_preempt);
}

/*
 * Ends when the last command of those preempted has ended: from then on nothing of theirs can reach
 * the disk.
 */
int target_pr_preempt_and_abort(struct target_command *c)
{
	struct target_state *s;
	uint8_t removed = 0;
	bool aca;

	if (run_change(c, do_preempt, &removed))
		return 0;
	s = target_lock(c->unit);
	/* as if each had allowed it: it may never come back to do so (SBC-3 5.11) */
	s->prevented &= (uint8_t)~removed;
	aca = s->aca != TARGET_NO_NEXUS && (removed & 1U << s->aca);
	if (aca)
		s->aca = TARGET_NO_NEXUS;
	target_unlock(c->unit);
	if (aca)
		taskset_aca_ended(c->device);
	return taskset_abort(c, removed);
}
