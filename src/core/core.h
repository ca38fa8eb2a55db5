/* SPDX-License-Identifier: MIT */
/*
 * core.h: the core's own room: a controller and everything it owns. One block per file, callees
 * first.
 *
 * Who runs what (docs/architecture.md):
 *
 *	the loop      hba_controller_run() and all it calls: queues, hot ops, a client's callbacks,
 *	              scan, recovery. No locks.
 *	the service   one thread per controller: waiting ops, with the loop fenced off (service.c)
 *	any thread    events, errors, memory objects, a unit's information: each under a lock of
 *	              its own, named at the struct
 *
 * Lock order: none is ever held while another is taken.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/base.h"
#include "core/error.h"
#include "core/spans.h"
#include "core/split.h"

#include <assert.h>
#include <hbakit/controller.h>
#include <hbakit/driver.h>
#include <hbakit/event.h>
#include <hbakit/lun.h>
#include <pthread.h>
#include <stdarg.h>

/*
 * What uthash would choose falls through in its switch, which clang warns of; and without memory it
 * would end the program.
 */
#define HASH_FUNCTION(key, length, value) HASH_FNV(key, length, value)
#define HASH_NONFATAL_OOM                 1
#include <uthash.h>

enum {
	CACHE_LINE = 64,
	MAX_POOL = 65536, /* a slot is 16 bits */
	MAX_QUEUES = 256, /* a task's queue is 8 bits */
	TMF_TASKS = 1,
	MIN_INTERNAL_TASKS = 2,
	INTERNAL_ALIGNMENT = 4096, /* and as much as any report may ask for */
	/* data of an internal task: REPORT LUNS of 16,384 units and more */
	INTERNAL_BYTES = 160 * 1024,
	SENTENCE_BYTES = 512,
	MAX_SEGMENTS =
		/*
		 * of one task, however many a chip can take; also of a list written anew for a
		 * driver that is no chip
		 */
	256,
};

#define NEVER UINT64_MAX

struct hba_target;
struct scan;
struct scsi_sense;

/* ---- op.c: which op of which driver this thread is in */

/**
 * struct op - One call into a driver; on the caller's stack. What its helpers are checked against.
 */
struct op {
	struct hba_controller *controller;
	const char *name; /* the table's member */
	/* counts the calls of an op that comes once per task, from 1; 0 = does not count */
	uint64_t call;
	uint64_t deadline; /* of a waiting op, by the controller's clock */
	bool hot;
	bool fenced;  /* hot, but no op of another queue runs beside it */
	bool may_map; /* memory may be taken */
	struct op *outer;
};

/*
 * The core's only thread-local besides the sentence of hba_error(). In this header since it is
 * asked for with every command.
 */
extern _Thread_local struct op *op_current __attribute__((tls_model("initial-exec")));

static inline void op_enter(struct op *op)
{
	op->outer = op_current;
	op_current = op;
}

static inline void op_leave(struct op *op)
{
	op_current = op->outer;
}

/** op_now() - The op this thread is in; NULL outside any. */
static inline const struct op *op_now(void)
{
	return op_current;
}

/** op_may_wait() - Is this a waiting op? Otherwise the violation of `call` is told. */
bool op_may_wait(struct hba_controller *c, const char *call) __attribute__((cold));
/**
 * op_is_fenced() - Does no other op run beside this one? Otherwise the violation of `call` is told.
 */
bool op_is_fenced(struct hba_controller *c, const char *call);
/** op_is_any() - Is this an op at all? Otherwise the violation of `call` is told. */
bool op_is_any(struct hba_controller *c, const char *call);

enum { NO_THREAD = 0 };

/** thread_here() - This thread, as a number that no other one has while it lives. */
static inline uintptr_t thread_here(void)
{
	return (uintptr_t)&op_current;
}

/* ---- error.c: sentences */

/**
 * sentence_write() - Like vsnprintf(), but a sentence that had to be cut says so: it ends in "...".
 */
void sentence_write(char text[SENTENCE_BYTES], const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/* ---- event.c */

enum { EVENT_RING = 256 };

struct event_ring {
	pthread_mutex_t lock; /* the ring; any thread puts, the loop takes */
	struct hba_event events[EVENT_RING];
	unsigned first, n;
	uint64_t lost;
};
static_assert(sizeof(((struct hba_event *)0)->text) == SENTENCE_BYTES,
	      "what hba_error() says, an event can");

/**
 * event_put() - Keep one for hba_event_next(). `target` HBA_NO_TARGET: about the controller; lun
 * may be NULL.
 */
void event_put(struct hba_controller *c, enum hba_event_kind kind, uint64_t target,
	       const struct hba_lun_id *lun, int64_t value, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/**
 * violation() - The driver broke a rule: names driver and op itself; the rest says value and rule.
 * Returns -EPROTO.
 */
int violation(struct hba_controller *c, const char *format, ...)
	__attribute__((cold, format(printf, 2, 3)));
/**
 * no_errno() - The violation of an op that returned a number above 0, which is neither success nor
 * an error.
 */
int no_errno(struct hba_controller *c, int returned);

/* ---- property-list.c, property.c */

/* Keys that the core itself reads, of a target or, where that has none, of the controller. */
#define PROPERTY_RETRIES  "Retry Count"
#define PROPERTY_READ_MS  "Read Time Out Duration"
#define PROPERTY_WRITE_MS "Write Time Out Duration"

/** struct properties - A short list in the order of arrival; the loop's, and waiting ops'. */
struct properties {
	struct hba_property *items;
	unsigned n;
};

int properties_set(struct properties *p, const struct hba_property *property);
void properties_remove(struct properties *p, const char *key);
void properties_clear(struct properties *p);
/**
 * properties_number() - Of `own`, or else of `others`. HBA_UNSET: none of them has a number with
 * that key.
 */
uint64_t properties_number(const struct properties *own, const struct properties *others,
			   const char *key);

/* ---- bus.c: the device behind the driver */

struct bus_link {
	const struct hba_bus *table; /* NULL: a controller without a device */
	struct hba_bus_device *device;
	struct hba_bus_info info;
	bool gone;    /* atomic; final */
	bool settled; /* whether IOVAs are physical has been decided */
	/* physical IOVAs: what is contiguous, and the unit memory comes in; 0 = no limit */
	size_t piece_bytes;
	int event_fd;                /* -1: none */
	char why[HBA_BUS_WHY_BYTES]; /* there was no memory; empty: the bus gave no reason */
	uint64_t look_at;            /* the loop's: when to look at it next, awake */
};

int bus_open(struct hba_controller *c);
/**
 * bus_quiet() - Bus master off, or a function reset, or, if it is gone, bus_cut(): 0: the device
 * reaches no memory. Service thread.
 */
int bus_quiet(struct hba_controller *c);
/**
 * bus_cut() - The device is closed, and reaches no memory; no op of the driver is called again.
 * Service thread.
 */
void bus_cut(struct hba_controller *c);
void bus_close(struct hba_controller *c);
/**
 * bus_answers() - Is anybody there? A device that was pulled out unnoticed is gone from now on.
 * Service thread.
 */
bool bus_answers(struct hba_controller *c);
/**
 * bus_refuse() - Say why there is no memory, for who asked for it; under the lock, or while only
 * the service thread takes any.
 */
int bus_refuse(struct hba_controller *c, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** bus_alloc() - Memory from the bus; -EOPNOTSUPP: it has none of its own, take a memfd. */
int bus_alloc(struct hba_controller *c, size_t length, int *ret_fd, uint64_t *ret_offset);
/** bus_map() - Where the device finds what is mapped for us at `address`. */
int bus_map(struct hba_controller *c, int fd, uint64_t offset, size_t length, unsigned bits,
	    void *address, struct hba_iova *ret_iova);
void bus_unmap(struct hba_controller *c, struct hba_iova iova, size_t length);
bool bus_takes_foreign(const struct hba_controller *c);
/**
 * bus_piece() - The longest range that the device sees in one; 0: no limit. What was said before
 * the first buffer counts.
 */
size_t bus_piece(struct hba_controller *c);
/**
 * bus_turn() - Loop: true: the device is wanted back. Also finds that it is lost. Looks now and
 * then; `woken`: now.
 */
bool bus_turn(struct hba_controller *c, bool woken);
/** bus_served() - Loop, before it sleeps: the vector that fired has been served. */
void bus_served(struct hba_controller *c, unsigned vector);

/* ---- memory.c: buffers and mappings */

struct memory {
	pthread_mutex_t lock; /* all of it but `regions` and `spans`, which are read without */
	struct spans spans;   /* of the slabs */
	struct list slabs, buffers, mappings;
	/* chunks by the number's top bit; any thread reads, entries are atomic */
	struct hba_mapping **regions[32];
	uint32_t last_region;
	uint64_t driver_bytes;     /* taken by the driver */
	uint64_t io_path_mappings; /* attempts in a hot op, all refused */
};

void memory_init(struct memory *m);
/** struct hba_mapping - What is asked for on the I/O path lies here, not in the buffer. */
struct hba_mapping {
	struct list link;
	struct hba_buffer *buffer;
	uint8_t *address;
	size_t length;
	struct hba_iova iova;
	size_t in_one; /* bytes from its start on that are one range for the device */
	uint32_t region;
	bool owns_buffer;
};

/**
 * region_place() - Where the mapping with that number is kept, or would be; NULL: nowhere. No lock.
 */
static inline struct hba_mapping **region_place(const struct memory *m, uint32_t number)
{
	unsigned k = 31 - (unsigned)__builtin_clz(number | 1);
	struct hba_mapping **chunk = __atomic_load_n(&m->regions[k], __ATOMIC_ACQUIRE);

	return number && chunk ? &chunk[number - (1U << k)] : NULL;
}

/** memory_region() - The mapping with that number; NULL: none. No lock. */
static inline const struct hba_mapping *memory_region(const struct memory *m, uint32_t number)
{
	struct hba_mapping **place = region_place(m, number);

	return place ? __atomic_load_n(place, __ATOMIC_ACQUIRE) : NULL;
}

/**
 * memory_piece() - Where we and the device find a piece in one range; false: no such region, or it
 * is not all there. No lock.
 */
static inline bool memory_piece(const struct memory *m, const struct hba_piece *p,
				uint8_t **ret_address, struct hba_iova *ret_iova)
{
	const struct hba_mapping *map = memory_region(m, p->region);

	if (!map || p->offset > map->in_one || p->length > map->in_one - p->offset)
		return false;
	*ret_address = map->address + p->offset;
	*ret_iova = hba_iova_at(map->iova, p->offset);
	return true;
}

/** mapping_of_client() - The controller of a client's mapping; NULL: it is the driver's. */
struct hba_controller *mapping_of_client(const struct hba_mapping *m);
/** memory_unmap() - The mapping goes, and its buffer if nothing else holds it. */
void memory_unmap(struct hba_controller *c, struct hba_mapping *map);
/** mapping_holds() - Does any byte of the mapping lie in `length` bytes at `address`? */
bool mapping_holds(const struct hba_mapping *m, const void *address, size_t length);
/** memory_take() - For the core's own use of driver memory, below 2^bits. On the service thread. */
int memory_take(struct hba_controller *c, size_t capacity, size_t alignment, unsigned bits,
		struct hba_mapping **ret_mapping);
/** memory_above() - The first buffer of the driver that ends above 2^bits; false: none does. */
bool memory_above(struct hba_controller *c, unsigned bits, struct hba_iova *ret_iova,
		  size_t *ret_length);
/** memory_release_driver() - After stop: what the driver took. */
void memory_release_driver(struct hba_controller *c);
void memory_fini(struct hba_controller *c);

/* ---- report.c */

void report_prepare(const struct hba_driver *d, struct hba_report *report);
/**
 * report_check() - Fill in defaults and judge: every missing and every contradictory field in one
 * sentence.
 */
int report_check(struct hba_controller *c, struct hba_report *report);

/* ---- pool.c: tasks, made once */

enum task_state {
	TASK_FREE,
	TASK_OWNED,  /* a client's: between get and submit, or after its done */
	TASK_QUEUED, /* unsent, in its unit's queue */
	TASK_WITH_DRIVER,
	TASK_HANDED_BACK, /* by the driver, unsent: queued again in the next turn */
	TASK_ENDED,       /* completed; its done is owed */
	TASK_RETURNED,    /* put back by another thread, on its way to the loop */
};

/** enum slowness - What has been told of a task that is with the driver. */
enum slowness {
	SLOW_NOT,
	SLOW_SEEN, /* it has been there for hba_options::slow_ms: its end is told */
	SLOW_TOLD, /* as hanging, too */
};

/**
 * enum urgency - Internal tasks go before everything else, but not past a blocked or held target.
 */
enum urgency {
	NOT_URGENT,
	URGENT_LOOK,  /* past what waits for a look at its unit */
	URGENT_SENSE, /* past a frozen and a full unit */
};

/** enum head_view - Whose words the head's second line holds. */
enum head_view {
	HEAD_AS_GIVEN,
	HEAD_WHOLE,  /* the client's, but its data is one item, in the driver's mode */
	HEAD_STAGED, /* the driver's: one stage, in its mode */
};

/** union item - One item of a data list in any mode; all are sixteen bytes. */
union item {
	struct hba_segment segment;
	struct iovec iov;
	struct hba_piece piece;
};
static_assert(sizeof(union item) == 16, "items of a list are alike in size");

/**
 * struct task - One member of the pool. Lines 1 and 2 are public; a command's way writes 3 on its
 * way down, 4 on its way up.
 */
struct task {
	struct hba_task head;

	struct task *next; /* in the one list it is in: free, unsent, ended */
	hba_done_fn done;
	void *arg;
	struct hba_lun *lun;
	struct hba_queue *queue; /* for life */
	union item whole;        /* HEAD_WHOLE: the one item */
	uint32_t generation;
	uint8_t state;  /* enum task_state */
	uint8_t view;   /* enum head_view */
	uint8_t urgent; /* enum urgency */
	uint8_t named;  /* 1 + enum medium_choice; 0: it names no disk */

	/* how it ended; its sense is in `sense` */
	struct hba_result result __attribute__((aligned(CACHE_LINE)));
	union hba_data given; /* while the head tells something else: what the client wrote */
	uint64_t deadline;    /* ns; NEVER = none */
	union {
		uint64_t anew; /* all of what follows: each command begins with zeros */
		struct {
			uint16_t repeats;     /* how often it was sent again */
			uint8_t tries;        /* of these, the ones that a rule counts */
			bool sense_asked : 1; /* once per try */
			/* its unit is frozen for it, and it is not asked for yet */
			bool sense_wanted : 1;
			bool final : 1;     /* whatever it ends as, it is not sent again */
			bool cancelled : 1; /* by hba_cancel, not by its timeout */
			/*
			 * another disk was there before it ended: if it ends well, that is not told
			 */
			bool stale : 1;
			bool expired; /* its time is over: recovery has it */
			uint8_t slow; /* enum slowness */
			uint8_t given_mode;
		};
	};
	uint64_t sent_at; /* ns; this try */

	uint64_t first_refusal __attribute__((aligned(CACHE_LINE)));
	/* generation + 1, when a task management function began that was to end it; 0: none has */
	uint64_t victim;
	void *memory; /* internal: INTERNAL_BYTES that the device can reach */
	/* max_items of them: the data in the driver's mode, where one item will not do */
	union item *items;
	/* the same for the driver's CPU, if it asked for that in DMA mode; NULL */
	struct iovec *cpu;
	uint8_t *sense; /* HBA_MAX_SENSE bytes */

	/* What else the client wrote, and, HEAD_STAGED only, how far it has come. */
	uint64_t given_length;
	uint32_t given_n;
	uint8_t given_cdb_len, given_direction;
	bool bounced;         /* this stage's data lie in the bounce slice */
	bool splits;          /* a block READ or WRITE: may go in stages */
	uint64_t to_move;     /* of given_length, as far as the CDB goes */
	uint64_t moved;       /* by the stages before this one */
	uint64_t item_offset; /* the first byte of this stage: in which item, and where in it */
	uint32_t item;
	uint32_t granule; /* bytes of a block; 1 if it does not split */
	uint8_t *slice;   /* the bounce space reserved at admission; NULL = none */
	uint8_t given_cdb[HBA_MAX_CDB];
	uint32_t meant; /* if it names a disk, the generation of that */
};
static_assert(sizeof(struct task) % CACHE_LINE == 0, "tasks do not share cache lines");
static_assert(offsetof(struct task, next) == sizeof(struct hba_task),
	      "the core's part follows the public head");

/** struct task_list - Singly linked through task::next; a queue, or from its head a stack. */
struct task_list {
	struct task *head, *tail;
};

static inline void task_list_push(struct task_list *l, struct task *t)
{
	t->next = l->head;
	l->head = t;
	if (!t->next)
		l->tail = t;
}

static inline void task_list_append(struct task_list *l, struct task *t)
{
	t->next = NULL;
	if (l->head)
		l->tail->next = t;
	else
		l->head = t;
	l->tail = t;
}

static inline struct task *task_list_pop(struct task_list *l)
{
	struct task *t = l->head;

	if (t)
		l->head = t->next;
	return t;
}

#define ID_EMPTY UINT32_MAX

struct id_entry {
	uint32_t id;
	uint32_t slot; /* ID_EMPTY: nobody */
};

struct pool {
	struct task *tasks; /* by slot: tmf, internal, clients */
	unsigned n, n_clients;
	void *privs; /* task_priv_size apart, rounded up to a line */
	uint8_t *senses;
	union item *items;
	unsigned max_items;
	struct iovec *cpu; /* max_items for each task, if the driver wants its data in DMA mode */
	struct hba_mapping *internal_memory;
	struct hba_mapping
		*arena; /* HBA data of all tasks, `stride` apart; NULL: the driver's own */
	size_t stride;
	struct id_entry *ids; /* unique id -> slot; open addressing, at most half full */
	uint32_t id_spread;   /* odd; ids are multiplied by it to find their place */
	unsigned id_shift;
	uint32_t id_mask;   /* entries - 1 */
	uint64_t ns, bytes; /* what mapping and naming took */
	unsigned named;
};

/** pool_prepare() - Memory for all tasks of all kinds. On the service thread. */
int pool_prepare(struct hba_controller *c);
/** pool_name() - Make the tasks; the driver maps and names each right after it is made. */
int pool_name(struct hba_controller *c);
/** pool_no_memory() - Fail: there is not enough memory for the pool. Returns `error`. */
int pool_no_memory(const struct hba_controller *c, int error);
void pool_destroy(struct hba_controller *c);
enum { ID_STEPS = 64 };

/** pool_id_place() - Where `id` is, or where it would be. */
static inline struct id_entry *pool_id_place(const struct pool *p, uint32_t id)
{
	size_t i = (id * p->id_spread) >> p->id_shift;

	while (p->ids[i].slot != ID_EMPTY && p->ids[i].id != id)
		i = (i + 1) & p->id_mask;
	return &p->ids[i];
}

/**
 * pool_find() - By unique id, NULL: none has it. Constant time: at most ID_STEPS entries are looked
 * at.
 */
static inline struct task *pool_find(const struct pool *p, uint64_t unique_id)
{
	struct id_entry *e;

	if (unique_id > UINT32_MAX || !p->ids)
		return NULL;
	e = pool_id_place(p, (uint32_t)unique_id);
	return e->slot == ID_EMPTY ? NULL : &p->tasks[e->slot];
}

/** pool_steps() - How many entries pool_find() looks at for it. */
unsigned pool_steps(const struct pool *p, uint32_t unique_id);
/** pool_holds() - Is it one of ours at all? For pointers from a driver. */
static inline bool pool_holds(const struct pool *p, const struct hba_task *t)
{
	uintptr_t offset = (uintptr_t)t - (uintptr_t)p->tasks;

	return offset < p->n * sizeof(struct task) && offset % sizeof(struct task) == 0;
}

/**
 * task_state() - For walks through the pool: a task that is another thread's becomes ours, or free,
 * in the middle of one.
 */
static inline enum task_state task_state(const struct task *t)
{
	return (enum task_state)__atomic_load_n(&t->state, __ATOMIC_ACQUIRE);
}

/* The public head is the first member, so that a driver's pointer is ours. */
static inline struct task *task_of(struct hba_task *head)
{
	return container_of(head, struct task, head);
}

/* ---- driver-call.c: the ops of the driver's table */

/*
 * Each calls the op of that name, on the service thread or as a hot op, as <hbakit/driver.h> has
 * it. For a number above 0 those that return an errno report a violation and return -EPROTO.
 */
int driver_initialize(struct hba_controller *c, struct hba_report *report);
/** driver_map_hba_data() - Without the op, ids are counted from 1. */
int driver_map_hba_data(struct hba_controller *c, struct task *t, uint32_t *ret_id);
int driver_start(struct hba_controller *c);
int driver_discover(struct hba_controller *c);
int driver_initialize_target(struct hba_controller *c, struct hba_target *tgt,
			     struct hba_target_report *report);
void driver_release_target(struct hba_controller *c, struct hba_target *tgt);
/** driver_reset() - Without the op, -EOPNOTSUPP. */
int driver_reset(struct hba_controller *c, enum hba_reset_level level);
int driver_set_power_state(struct hba_controller *c, enum hba_power state);
void driver_stop(struct hba_controller *c);
void driver_kick(struct hba_queue *q);
void driver_poll(struct hba_queue *q, unsigned budget);
/** driver_interrupts() - true: there is work already. */
bool driver_interrupts(struct hba_queue *q, bool on);
void driver_manage(struct task *t, enum hba_tmf function);

/* ---- lun.c, target.c, negotiate.c, lookup.c */

/**
 * struct unit_queue - One unit's unsent tasks in one hardware queue. In hba_queue::ready while it
 * may send.
 */
struct unit_queue {
	struct list link;
	struct task_list unsent;
	struct hba_lun *lun;
};

struct hba_lun {
	struct hba_controller *controller;
	struct hba_target *target;
	struct list link;  /* hba_target::luns, by LUN */
	UT_hash_handle hh; /* hba_target::by_id */
	struct hba_lun_id id;
	struct hba_lun_info info; /* under hba_controller::info_lock; written by the loop only */
	/* present, and nothing is owed: its tasks are queued as they come */
	bool plain;
	uint32_t block_bytes; /* likewise */
	bool seen;            /* by the scan that is under way */
	struct list look;     /* hba_controller::looks, while it waits for one */
	/* held until a look has shown which disk is there; counted in `frozen` */
	bool suspect;
	bool medium_changed; /* it has said so: the generation moves whatever is read */
	bool told;           /* of what is looked at now, a task that names no disk has been */
	bool owes;           /* of a change, no such task has been told: the next one is */
	/* What the scan has read so far, in its whole walk or in a look, may be of another disk. */
	bool disturbed, look_disturbed;
	const struct task *look_task; /* the look's command that is out; NULL */
	uint32_t sized_at;     /* the generation since which its blocks are as large as now */
	uint64_t look_at;      /* not before */
	uint64_t unread_since; /* the first look that failed; 0: none has */
	/* reasons to send nothing: recovery, sense that has to be fetched, a look */
	unsigned frozen;
	uint64_t held_until;    /* handed back by the driver; 0 = not */
	unsigned depth, taken;  /* clients' tasks admitted, at most and now */
	unsigned limit, out;    /* tasks with the driver, at most and now */
	unsigned most;          /* what limit may grow to again */
	unsigned good_in_a_row; /* while limit is below most */
	uint32_t timeout_ms;    /* a task's default */
	bool full_told;         /* that the target has said TASK SET FULL */
	unsigned hanging;       /* slow_turn()'s: how many of its tasks are to be told of, */
	struct task *eldest;    /* and the one that has been out for longest */
	struct list waiters;    /* struct hba_waiter's core[0..1] */
	struct list starving;   /* hba_controller::starving while there are waiters */
	uint64_t *tags;         /* bitmap, if tags are fewer than slots */
	void *priv;
	struct unit_queue queues[];
};

/** struct negotiation - Features of parallel SCSI (docs/contract.md 9.9), HBA_FEATURE_BIT()s. */
struct negotiation {
	uint8_t claimed;   /* both sides have them */
	uint8_t agreed;    /* an attempt has succeeded; no longer claimed, they are reverted */
	uint8_t to_agree;  /* claimed, not agreed yet: attempted with each command */
	uint8_t to_revert; /* agreed, not claimed any more: likewise */
};

struct hba_target {
	struct hba_controller *controller;
	struct list link; /* hba_controller::targets, by id */
	uint64_t id;
	struct hba_target_report report;
	struct properties properties;
	struct list luns;
	struct hba_lun *by_id; /* a hash table of them */
	bool initialised;      /* the driver has it */
	bool seen;
	bool present;
	uint64_t held_until;
	bool blocked;   /* its link is lost for a while */
	bool leaving;   /* destroyed; its last tasks are still with the driver */
	bool releasing; /* they are back, and the driver is being told */
	bool scan_wanted;
	uint8_t walks;    /* of the scan that are at it: the whole one, a look */
	uint64_t retries; /* "Retry Count"; HBA_UNSET: the rules' own */
	struct negotiation negotiation;
	void *priv;
};

/** target_find() - NULL: none with that id. */
struct hba_target *target_find(struct hba_controller *c, uint64_t id);
/** target_in_use() - The same, but NULL also until it has been initialised. */
struct hba_target *target_in_use(struct hba_controller *c, uint64_t id);
/** target_add() - Find or make one, not initialised yet. NULL: no memory. */
struct hba_target *target_add(struct hba_controller *c, uint64_t id);
/**
 * target_initialize() - The driver's op, on the service thread; `done` on the loop with its result.
 */
int target_initialize(struct hba_target *tgt, void (*done)(struct hba_target *tgt, int error));
/** target_is_going() - Destroyed, or being released: nothing begins there before it has gone. */
static inline bool target_is_going(const struct hba_target *tgt)
{
	return tgt->leaving || tgt->releasing;
}

/** target_forget() - Nobody was ever there: release and free it. */
void target_forget(struct hba_target *tgt);
/** target_claim() - These features both sides have, now. */
void target_claim(struct hba_target *tgt, uint8_t features);
/** target_negotiated() - What a response says was agreed, and what was cleared. */
void target_negotiated(struct hba_target *tgt, uint8_t agreed, uint8_t reverted);
/**
 * target_heed() - Its properties, or its controller's, may have changed: what follows from them for
 * its units.
 */
void target_heed(struct hba_target *tgt);
/** targets_heed() - The controller's have. */
void targets_heed(struct hba_controller *c);
/** target_renegotiate() - It has been reset: nothing is agreed any more. */
void target_renegotiate(struct hba_target *tgt);
/** targets_renegotiate() - All have, by a reset of the bus or of the controller. */
void targets_renegotiate(struct hba_controller *c);
/** target_want_scan() - The scan looks at it again, soon. */
void target_want_scan(struct hba_target *tgt);
/** targets_turn() - Release those whose last task has left the driver. */
void targets_turn(struct hba_controller *c);
void targets_free(struct hba_controller *c);

struct hba_lun *lun_find(struct hba_target *tgt, const struct hba_lun_id *id);
struct hba_lun *lun_add(struct hba_target *tgt, const struct hba_lun_id *id);
void lun_free(struct hba_lun *lun);
/** lun_is_alike() - Do both name themselves as the same disk? */
bool lun_is_alike(const struct hba_lun_info *a, const struct hba_lun_info *b);
/** lun_is_another() - Is `info` that of another disk than the one before? */
bool lun_is_another(const struct hba_lun *lun, const struct hba_lun_info *info);
/**
 * lun_keep_capacity() - The capacity could not be read, although there is a medium: keep that of a
 * disk that is known.
 */
void lun_keep_capacity(const struct hba_lun *lun, struct hba_lun_info *info);
/**
 * lun_set_info() - Publish; counts up the generation if it is another disk: true, and
 * medium_moved() is due. Loop.
 */
bool lun_set_info(struct hba_lun *lun, const struct hba_lun_info *info);
/** lun_count_up() - It is taken for another disk; what else is known of it stays. */
void lun_count_up(struct hba_lun *lun);
/** lun_set_absent() - true: it was present; the caller flushes its unsent tasks. */
bool lun_set_absent(struct hba_lun *lun);
/**
 * lun_heed() - Properties of its target or controller may have changed: how long its commands may
 * be with the driver.
 */
void lun_heed(struct hba_lun *lun);
/** lun_owe() - Is a change still to be told, by the next task that names no disk? */
void lun_owe(struct hba_lun *lun, bool owes);
/**
 * lun_take_tag() - A SAM tag for a task of this unit; the depth has made sure that there is one.
 */
uint64_t lun_take_tag(struct hba_lun *lun, const struct task *t);
void lun_return_tag(struct hba_lun *lun, const struct task *t);

/* ---- lun-hold.c */

/**
 * lun_hold() - Nothing is sent to the unit until a look has shown which disk is there. `by`: the
 * task whose sense is the reason; NULL.
 */
void lun_hold(struct hba_lun *lun, const struct task *by);
/** lun_suspect() - The same, without such a task. */
void lun_suspect(struct hba_lun *lun);
/** lun_release() - The disk is known, or the unit is absent: hold it no longer. */
void lun_release(struct hba_lun *lun);
/** lun_look_again() - The look could not begin. */
void lun_look_again(struct hba_lun *lun);
/**
 * lun_next_look() - The unit that may be looked at now; NULL, and *ret_at when one may be, or
 * NEVER.
 */
struct hba_lun *lun_next_look(const struct hba_controller *c, uint64_t *ret_at);

/* ---- leave.c */

/** lun_leave() - It is absent from now on: the event; its unsent tasks end. */
void lun_leave(struct hba_lun *lun);
/**
 * target_leave() - It is gone: unsent tasks end, those with the driver are awaited, then
 * release_target is called.
 */
void target_leave(struct hba_target *tgt);

/* ---- watch.c, queue.c, completion.c, deliver.c: the hot path */

/** struct watch - A descriptor the sleeping loop minds: a driver's, or an interrupt vector's. */
struct watch {
	struct list link;
	int fd;
	bool drain; /* an interrupt vector's eventfd: read it when awake */
	bool fired;
	unsigned vector;
};

struct hba_queue {
	struct hba_controller *controller;
	void *priv;
	unsigned index;
	unsigned with_driver;    /* tasks */
	struct task_list urgent; /* before everything else */
	struct list ready;       /* struct unit_queue: those with something to send */
	struct list held;        /* struct unit_queue: those that have, but must not */
	struct task_list ended;  /* dones owed */
	struct task_list handed_back;
	struct task_list free; /* clients' */
	uint64_t next_expiry;  /* no task expires before */
	uint64_t poll_at;      /* hba_poll_within; NEVER */
	uint64_t held_until;   /* handed back for want of room; 0 = not */
	struct list watches;
	bool polled_only; /* nothing wakes us: the loop must not sleep while tasks are out */
};

int queues_create(struct hba_controller *c);
void queues_destroy(struct hba_controller *c);
/** queue_watch_vector() - An eventfd that wakes the loop for this queue, and is drained by it. */
int queue_watch_vector(struct hba_queue *q, int fd, unsigned vector);
/** queue_drain_vectors() - Awake: the eventfds of interrupts are read. */
void queue_drain_vectors(const struct hba_queue *q);
/** queue_take_fired() - The next vector that has fired since it was asked; false: none. */
bool queue_take_fired(const struct hba_queue *q, unsigned *ret_vector);
/** queue_release_held() - Units that may send again get their turn. */
void queue_release_held(struct hba_queue *q);
/** queue_send_all() - Everything that may be sent now goes to the driver, in batches. */
void queue_send_all(struct hba_queue *q);
/** queue_turn() - Send, poll, deliver; returns how many tasks came back. */
unsigned queue_turn(struct hba_queue *q, unsigned budget);
/** queue_deliver() - Run up to `budget` dones. */
unsigned queue_deliver(struct hba_queue *q, unsigned budget);
void queue_poll(struct hba_queue *q, unsigned budget);
/**
 * queue_take_back() - What the driver handed back is queued again, or ends if nothing is sent any
 * more.
 */
void queue_take_back(struct hba_queue *q);
/** queue_begin_anew() - What was sent since the clock was read has its time from `now` on. */
void queue_begin_anew(struct hba_controller *c, uint64_t now);
/** queue_can_send() - Is there anything that may be sent now? */
bool queue_can_send(const struct hba_queue *q);
/** queue_add() - A checked task joins its unit's unsent ones. */
void queue_add(struct task *t);
/**
 * queue_add_again() - One that has been sent before, or handed back, or has more to send, goes
 * before those that never were.
 */
void queue_add_again(struct task *t);
/**
 * task_end() - Results in, done owed. From hba_complete, and for tasks that the core ends itself.
 */
void task_end(struct task *t, enum hba_outcome outcome, enum hba_sent sent);
/** task_retrieve() - It has left the driver; its done is owed. */
static inline void task_retrieve(struct task *t)
{
	t->queue->with_driver--;
	t->lun->out--;
	t->state = TASK_ENDED;
	task_list_append(&t->queue->ended, t);
}

/** task_keep_sense() - What came with its result, or after it; copied. */
void task_keep_sense(struct task *t, const void *sense, uint8_t length);
/** queue_flush() - End every unsent task (of `lun`, or of all if NULL) with `outcome`. */
void queue_flush(struct hba_controller *c, const struct hba_lun *lun, enum hba_outcome outcome);
/**
 * queue_withdraw() - An urgent task that is not sent yet ends, HBA_NOT_DELIVERED. false: it is
 * sent.
 */
bool queue_withdraw(struct task *t);
/** queue_end_lost() - After a stop or a reset: end all that the driver had. */
void queue_end_lost(struct hba_controller *c, bool memory_lost);
/** queue_end_gone() - The device is gone: end all that the driver had, HBA_NOT_PRESENT. */
void queue_end_gone(struct hba_controller *c);

/* ---- medium.c: is the disk that a command means still there? See medium.h, too */

/**
 * medium_heed() - It has come back with sense: an attention that may be about another disk holds
 * the unit. Before anything else is sent.
 */
void medium_heed(struct task *t);
/**
 * medium_is_news() - Is that sense the change of a medium, and the task one that names none? Then
 * its client hears it.
 */
bool medium_is_news(const struct task *t, const struct scsi_sense *sense);
/** medium_moved() - The generation has: tell it, and end what meant the disk before. */
void medium_moved(struct hba_lun *lun, const struct hba_lun_info *before);
/** medium_unread() - The look has failed: again, but not for ever. */
void medium_unread(struct hba_lun *lun);
/**
 * medium_ends() - One that is about to be queued: true, and it has ended, if it means another disk.
 */
bool medium_ends(struct task *t);
/**
 * medium_tells() - A client's, about to be queued: true, and it has ended, if a change was still to
 * be told.
 */
bool medium_tells(struct task *t);
/** medium_judge() - It has come back well, perhaps from another disk: not told as good then. */
void medium_judge(struct task *t);

/* ---- admit.c */

/** admit() - Give free tasks to those who wait, unit after unit. */
void admit(struct hba_controller *c);
bool admit_possible(const struct hba_controller *c);
/** admit_none() - Tell everyone who waits (for `lun`, or at all if NULL) that nothing will come. */
void admit_none(struct hba_controller *c, struct hba_lun *lun);
/** admit_waiting() - One who asked from another thread now waits at its unit, like all others. */
void admit_waiting(struct list *link);
/** task_return() - hba_task_put(), in the loop. */
void task_return(struct task *t);
/**
 * internal_get() - An internal task for `lun`, or NULL if all are out. Given back by
 * hba_task_put().
 */
struct task *internal_get(struct hba_lun *lun);

/* ---- data.c: a task's data in the driver's terms */

enum { BOUNCE_SLICES = 64, BOUNCE_BYTES = 256 * 1024 };

/**
 * struct bounce - Slices for data that the device cannot reach where they lie. One per task that
 * asked for it; the loop's.
 */
struct bounce {
	uint8_t *slices[BOUNCE_SLICES]; /* a stack of the free ones */
	unsigned n, n_free;
	size_t bytes; /* of each */
};

/**
 * data_setup() - Limits from the report, and the bounce space. On the service thread, while the
 * pool is made.
 */
int data_setup(struct hba_controller *c);
/** data_prepare() - At submit: check the list and write the first stage. */
int data_prepare(struct hba_controller *c, struct task *t);
/**
 * data_settle() - A stage came back: take its data home. true: the next stage is written and wants
 * to be sent.
 */
bool data_settle(struct task *t);
/** data_lies_in() - Has this task, which is not its client's now, data in the mapping? */
bool data_lies_in(const struct task *t, const struct hba_mapping *m);
/** data_restore_staged() - data_restore()'s, of what only a stage changes. */
void data_restore_staged(struct task *t);

/** data_restore() - Before its done: everything as the client wrote it. */
static inline void data_restore(struct task *t)
{
	if (t->view == HEAD_STAGED)
		data_restore_staged(t);
	else
		t->head.n_data = t->given_mode == HBA_DATA_REGION;
	t->head.data = t->given;
	t->head.mode = t->given_mode;
	t->view = HEAD_AS_GIVEN;
}

/* ---- settle.c: a task has come back */

/** settle() - true: it is not over, its client hears nothing yet. */
bool settle(struct task *t);
/**
 * settle_check_condition() - It has just come back so: without sense its unit freezes at once,
 * before anything else is sent to it.
 */
void settle_check_condition(struct task *t);
/** settle_good() - One more good end in a unit whose limit was lowered. */
void settle_good(struct hba_lun *lun);
/** settle_turn() - Ask for sense that could not be asked for at once. */
void settle_turn(struct hba_controller *c);

/* ---- submit.c */

/** task_dispatch() - A checked task goes where it has to go. In the loop. */
void task_dispatch(struct hba_controller *c, struct task *t);
/** task_submit() - hba_submit() for tasks of any kind. */
int task_submit(struct task *t, hba_done_fn done, void *arg);

/* ---- service.c: the thread that may wait; wait.c */

enum { DEFAULT_OP_MS = 10 * MS_PER_S };

/** struct job - Something that may wait. The caller's memory until `done` has run. */
struct job {
	struct list link;
	const char *name; /* the op; also the step's name if `step` */
	bool step;        /* time it as a step of the life cycle */
	bool may_map;
	/* deadline of the op; 0 = DEFAULT_OP_MS */
	unsigned ms;
	int (*run)(struct hba_controller *c, struct job *job);   /* service thread, loop fenced */
	void (*done)(struct hba_controller *c, struct job *job); /* loop; NULL: none */
	int error;
	uint64_t began, ns; /* by the controller's clock; it took */
};

struct service {
	pthread_t thread;
	pthread_mutex_t lock; /* the members down to `quit` */
	pthread_cond_t changed;
	struct list todo, over;
	struct job *running;
	/* by service_call(): here, for an op that never comes back never lets go of it */
	struct job called;
	uint64_t until,
		/*
		 * when the running op is given up, by the controller's clock (atomic) and really;
		 * 0: not begun
		 */
		until_real;
	bool up, quit;
	void (*stuck)(struct hba_controller *c);

	/*
	 * The fence. The service raises it and waits till no turn runs; a turn that finds it raised
	 * ends at once.
	 */
	bool fence;    /* atomic */
	bool turning;  /* atomic */
	bool has_over; /* atomic: jobs in `over` */
	bool cancel;   /* atomic: waits of the running op end with -ECANCELED */
};

/** service_start() - `stuck`: the controller has been given up, on the thread that gave it up. */
int service_start(struct hba_controller *c, void (*stuck)(struct hba_controller *c));
/**
 * service_stop() - Lets the running job end. -ETIMEDOUT: it does not; the thread is left behind and
 * the controller is dead.
 */
int service_stop(struct hba_controller *c);
void service_post(struct hba_controller *c, struct job *job);
/**
 * service_call() - Post a copy of `wanted` and wait for it, its deadline and a grace; -ETIMEDOUT:
 * the op has not come back, or the one before it: the controller is given up, see quiesce_stuck().
 * One at a time: the loop's thread, not from a callback.
 */
int service_call(struct hba_controller *c, const struct job *wanted);
/** service_reap() - Run the `done`s of the jobs that are over. Loop. */
void service_reap(struct hba_controller *c);
bool service_idle(struct hba_controller *c);
/**
 * service_fenced() - Loop, refused its turn. -ETIMEDOUT: the op has not come back, the controller
 * is given up, see quiesce_stuck().
 */
int service_fenced(struct hba_controller *c);
/** service_next() - Loop, refused its turn: when it wants to be called at the latest. */
uint64_t service_next(struct hba_controller *c);
/** turn_begin() - false: fenced, do nothing but service_fenced(). */
bool turn_begin(struct hba_controller *c);
void turn_end(struct hba_controller *c);

/* ---- wake.c, loop.c: sleeping and waking */

struct sleeper {
	int epoll, wake, timer; /* wake: eventfd; timer: timerfd */
	bool armed;             /* the loop's */
	bool asleep;            /* atomic: somebody who has work must write to `wake` */
};

int sleeper_init(struct sleeper *s);
void sleeper_fini(struct sleeper *s);
/** sleeper_watch() - The loop wakes when `fd` is readable; closing it ends that. */
int sleeper_watch(const struct sleeper *s, int fd);
/** queue_unwatch() - No descriptor of this queue is watched any more. */
void queue_unwatch(struct hba_queue *q);
/** sleeper_add() - sleeper_watch(), for these events. */
int sleeper_add(const struct sleeper *s, int fd, uint32_t events);
/** sleeper_set() - Wake the loop at `at`; NEVER: not by the clock. */
void sleeper_set(const struct sleeper *s, uint64_t now, uint64_t at);
/** sleeper_drain() - Awake: what woke the loop is forgotten. */
void sleeper_drain(const struct sleeper *s);
/** wake_drain() - Read an eventfd or a timerfd; true: it had fired. */
bool wake_drain(int fd);
/** loop_wake() - Any thread: there is work. */
void loop_wake(struct hba_controller *c);
/** loop_run() - hba_controller_run(), for whoever is the loop. */
int loop_run(struct hba_controller *c, unsigned budget);
/** loop_arm() - hba_controller_arm(), likewise. */
int loop_arm(struct hba_controller *c);
/** loop_owes() - Is any done still to be run? */
bool loop_owes(const struct hba_controller *c);
/** loop_until() - Run the loop, sleeping, until `over` says so. -ETIMEDOUT after `ms`. */
int loop_until(struct hba_controller *c, bool (*over)(struct hba_controller *c), unsigned ms);

/* ---- scan.c */

/** scan_begin() - Look for targets and units; one scan at a time, a second one follows. Loop. */
int scan_begin(struct hba_controller *c);
/**
 * scan_after_reset() - The chip has forgotten what it was asked: a discovery that was under way
 * begins anew. false: none was.
 */
bool scan_after_reset(struct hba_controller *c);
bool scan_over(struct hba_controller *c);
/** scan_discovered() - The driver has named all targets it has: those it did not name, go. */
void scan_discovered(struct hba_controller *c);
/** scan_turn() - Whatever the scan can do now. */
void scan_turn(struct hba_controller *c);
/** scan_next() - When it wants to be called at the latest; NEVER. */
uint64_t scan_next(const struct hba_controller *c);
void scan_free(struct hba_controller *c);

/* ---- guest.c: other threads than the loop's */

struct guests {
	struct task *inbox;     /* atomic: a stack of tasks submitted or put back */
	pthread_mutex_t lock;   /* what follows */
	pthread_cond_t changed; /* a release is granted */
	struct list waiting, releases;
	bool over; /* no task will have memory in anything */
	bool any;  /* atomic: one of the lists has something */
};

/** guest_push() - Hand a task, submitted or returned, to the loop. Any thread; never waits. */
void guest_push(struct hba_controller *c, struct task *t);
/** guest_wait() - Hand a waiter to the loop. */
void guest_wait(struct hba_controller *c, struct list *waiting);
void guests_init(struct guests *g);
void guests_fini(struct guests *g);
bool guests_knock(const struct hba_controller *c);
/** guests_take_tasks() - All that they have submitted or put back, linked by task::next. Loop. */
struct task *guests_take_tasks(struct hba_controller *c);
/** guests_take_waiting() - The next waiter; NULL: none. Loop. */
struct list *guests_take_waiting(struct hba_controller *c);
/** guests_end() - No task is out any more, and none will be: no release has to wait. */
void guests_end(struct hba_controller *c);

/* ---- intake.c */

/** intake_tasks() - Take in tasks of other threads, submitted or put back. Loop, callbacks too. */
void intake_tasks(struct hba_controller *c);
/** intake_turn() - Their waiters as well. Loop. */
void intake_turn(struct hba_controller *c);

/* ---- mapping-release.c */

/** releases_turn() - Let go of mappings that other threads release and no task uses. Loop. */
void releases_turn(struct hba_controller *c);

/* ---- thread.c: the library runs the loop */

struct runner {
	pthread_t thread;
	bool up;
	bool quit; /* atomic */
};

int runner_start(struct hba_controller *c);
void runner_stop(struct hba_controller *c);

/* ---- notice.c: what a driver says of its bus */

/*
 * A task's deadline while its target's link is lost: the time it has left, counted from here.
 * Beyond any clock.
 */
#define HALTED (UINT64_C(1) << 62)

/** enum notice_kind - Events of a driver's bus. */
enum notice_kind {
	NOTICE_TARGET_CREATE,
	NOTICE_TARGET_DESTROY,
	NOTICE_TARGET_BLOCK,
	NOTICE_TARGET_UNBLOCK,
	NOTICE_DISCOVERY_DONE,
	NOTICE_LUNS_CHANGED,
	NOTICE_MEDIUM_CHANGED,
	NOTICE_BUS_RESET,
	NOTICE_PORT_STATUS
};

struct notice {
	struct list link;
	enum notice_kind kind;
	uint64_t target;
	enum hba_port_status status;
	struct hba_lun_id lun; /* NOTICE_MEDIUM_CHANGED: of this unit */
	struct properties properties;
};

struct notices {
	pthread_mutex_t lock; /* the list: ops of any thread put, the loop takes */
	struct list list;
	bool any; /* atomic */
};

/** notice_new() - NULL: no memory. */
struct notice *notice_new(enum notice_kind kind, uint64_t target);
/** notice_post() - Write it down for the loop, which owns it from now on. Any thread. Returns 0. */
int notice_post(struct hba_controller *c, struct notice *n);
void notice_free(struct notice *n);
void notice_turn(struct hba_controller *c);
void notices_free(struct hba_controller *c);

/* ---- manage.c: task management functions; cancel.c */

struct tmf {
	/* with the driver; NULL: none, or nobody waits for it any more */
	struct hba_management *current;
	struct list waiting, decided;
	bool answered;
	enum hba_service_response response;
};

bool manage_possible(const struct hba_controller *c, enum hba_tmf function);
/** manage_post() - A checked request; `first`: before all others. Ends by its done, in time. */
void manage_post(struct hba_controller *c, struct hba_management *m, bool first);
void manage_turn(struct hba_controller *c);
/** manage_begin_anew() - What was asked for since the clock was read has its time from `now` on. */
void manage_begin_anew(struct hba_controller *c, uint64_t now);
uint64_t manage_next(const struct hba_controller *c);
/** manage_left() - How many tasks that the current function was to end are still out. */
unsigned manage_left(const struct hba_controller *c);
/** manage_answered() - The tmf task has left the driver with this response. */
void manage_answered(struct hba_controller *c, struct task *t, enum hba_service_response response);
/** manage_lost() - After a stop or a reset: a tmf task that the driver had is the core's again. */
void manage_lost(struct hba_controller *c);
/** manage_cancel_all() - The controller ends: every request gets its answer. */
void manage_cancel_all(struct hba_controller *c);

/* ---- task-text.c, slow.c: commands that take long */

enum { TASK_WORDS = 96, TIME_WORDS = 24 };

/** task_words() - "READ(10) of 0:1, block 8": the command that is with the driver, or was last. */
void task_words(const struct task *t, char text[TASK_WORDS]);
/** time_words() - "850 ms", "5 s", "30.5 s". */
void time_words(uint64_t ns, char text[TIME_WORDS]);
/** slow_turn() - Tell what has been with the driver for long. Loop. */
void slow_turn(struct hba_controller *c);
/** slow_next() - When it wants to be called at the latest; NEVER. */
uint64_t slow_next(const struct hba_controller *c);

/* ---- recovery.c */

struct recovery {
	struct task *victim; /* NULL: none is under way */
	struct hba_lun *lun; /* its unit; once it is back it may go to another */
	bool cancelled;      /* by its client; else its time was over */
	unsigned rung;
	uint64_t since, rung_since;
	char words[TASK_WORDS]; /* the victim's command; once it is back it may be another */
	struct hba_management management;
	bool asked;
	struct job job;
	bool job_out;
};

/** recovery_turn() - Find tasks whose time is over and go up the ladder for them. */
void recovery_turn(struct hba_controller *c);
/** recovery_first() - The rung that a timeout begins with: "abort task". */
const char *recovery_first(const struct hba_controller *c);
/** recovery_next() - When it wants to be called at the latest; NEVER. */
uint64_t recovery_next(const struct hba_controller *c);

/* ---- state.c, quiesce.c, life.c */

enum { MAX_STEPS = 32 };

/** struct letting_go - The loop's; see quiesce_let_go() and quiesce_gone(). */
struct letting_go {
	bool wanted, gone, job_out;
	bool stopped;   /* the driver, by the job */
	uint64_t until; /* tasks that the driver has are awaited till then */
	struct job job;
};

struct hba_controller {
	const struct hba_driver *driver;
	struct hba_driver table; /* a copy, padded with NULL where an older plug-in's is shorter */
	const void *variant;
	char *uri, *path, *query, *name; /* query: what follows the `?`; NULL */
	struct bus_link bus;
	struct uri_option *options;
	struct hba_options given;
	const struct clock *clock;

	enum hba_state state;
	bool accepting;       /* submissions */
	uint64_t cdb_lengths; /* a bit for each that a CDB may have here */
	/* atomic: a waiting op never came back: its thread still owns what it uses */
	bool stuck;
	bool starting;        /* atomic: on its way up */
	bool start_cancelled; /* atomic: by hba_controller_cancel() */
	uint64_t start_until; /* by the clock, while it is starting */
	bool silent;          /* the driver has stopped for good: none of its ops is called again */
	struct letting_go letting_go;
	bool lost;          /* atomic: not even the bus could confirm that DMA has ended */
	uint64_t now;       /* once per turn, and before the loop sleeps */
	bool deadlines_set; /* since it was read, and counted from it */
	uint64_t slow_ns;   /* what takes longer is told */
	/* no task is to be told of before; NEVER: none is out that was not told of */
	uint64_t slow_at;
	struct hba_report report;
	void *priv;

	struct pool pool;
	struct hba_queue **queues;
	unsigned n_queues, next_queue;
	struct task_list internal_free, tmf_free;
	/* clients' tasks, now and at most: the driver may lower it */
	unsigned clients_out, most_clients;
	/* CHECK CONDITIONs that wait for an internal task to ask with */
	struct task_list senseless;
	struct tmf tmf;
	bool paused;          /* by power: what is submitted waits */
	enum hba_power power; /* asked for last */

	struct list targets; /* by id */
	unsigned n_leaving;
	struct list starving; /* units with waiters, in turn */
	pthread_mutex_t
		/*
		 * every unit's info, and who is in the lists of targets and units: the loop changes
		 * them, all may look
		 */
		info_lock;
	struct properties properties;

	struct memory memory;
	struct split_limits limits[2]; /* [0] reads, [1] writes */
	/* the same for data in one piece, by direction */
	struct split_one one[HBA_FROM_TARGET + 1];
	/* CPU mode with no limit at all: lists go as they are */
	bool unlimited;
	struct bounce bounce;
	uint32_t internal_most; /* bytes that an internal task can have moved at once */
	struct service service;
	struct sleeper sleeper;
	struct event_ring events;
	struct notices notices;
	struct guests guests;
	struct runner runner;
	uintptr_t loop_thread; /* atomic: its thread_here(), or NO_THREAD */
	bool in_turn;          /* the loop's: a callback may be running */
	bool chores_owed;      /* the last turn left them to a later one */
	uint64_t chores_at;    /* when they wait no longer for a turn without completions */
	struct recovery recovery;
	struct scan *scan;
	bool rescan_wanted; /* atomic */
	bool scan_wanted;   /* of some target */
	struct list looks;  /* units that are to be read anew, one after another */

	char op_sentence[SENTENCE_BYTES]; /* hba_fail()'s: the running op's, the service thread's */
	char sentence[SENTENCE_BYTES];    /* a failed step's, on its way to the caller's thread */
	const struct hba_driver *loaded;  /* this and the next: the plan's */
	void (*unload)(const struct hba_driver *loaded);
	struct hba_step steps[MAX_STEPS];
	unsigned n_steps;
	uint64_t violations;
	uint64_t device_errors; /* since start: what it said that cannot be */
};

/** driver_process_task() - In an op that the caller has entered for the whole batch. */
static inline void driver_process_task(struct hba_queue *q, struct task *t)
{
	q->controller->driver->process_task(q, &t->head);
}

/** loop_is_here() - Is this thread the loop? */
static inline bool loop_is_here(const struct hba_controller *c)
{
	return __atomic_load_n(&c->loop_thread, __ATOMIC_RELAXED) == thread_here();
}

/** in_callback() - Is this thread inside a turn of this controller's loop? */
static inline bool in_callback(const struct hba_controller *c)
{
	return loop_is_here(c) && c->in_turn;
}

/** task_tell_stranger() - task_named()'s, of one that it refuses. */
void task_tell_stranger(const struct task *t, const char *call) __attribute__((cold));

/**
 * task_named() - The task that a driver's `call` is about. NULL, and the violation is told: not of
 * this op's controller, or in no op.
 */
static inline struct task *task_named(struct hba_task *head, const char *call)
{
	const struct op *op = op_now();

	if (op && pool_holds(&op->controller->pool, head))
		return task_of(head);
	task_tell_stranger(task_of(head), call);
	return NULL;
}

/** bus_is_gone() - The device is lost. Any thread; final. */
static inline bool bus_is_gone(const struct hba_controller *c)
{
	return __atomic_load_n(&c->bus.gone, __ATOMIC_RELAXED);
}

/** controller_is_stuck() - Any thread; final. */
static inline bool controller_is_stuck(const struct hba_controller *c)
{
	return __atomic_load_n(&c->stuck, __ATOMIC_ACQUIRE);
}

/** start_is_cancelled() - Is it on its way up, and shall not go on? Any thread. */
static inline bool start_is_cancelled(const struct hba_controller *c)
{
	return __atomic_load_n(&c->starting, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&c->start_cancelled, __ATOMIC_ACQUIRE);
}

/**
 * controller_new() - For host/: everything resolved, nothing touched. `uri` is taken apart by the
 * caller.
 */
struct controller_plan {
	const struct hba_driver *driver;
	const struct hba_bus *bus; /* NULL: the driver has no device */
	const void *variant;
	const char *uri;
	const char *path;                  /* between colon and `?` */
	const char *query;                 /* after the `?`; NULL */
	const struct hba_options *options; /* NULL = defaults */
	const struct clock *clock;         /* NULL = the real one */
	/*
	 * A plug-in goes at close, when none of its code will run again: not if this fails, nor if
	 * an op never came back. NULL: none.
	 */
	const struct hba_driver *loaded;
	void (*unload)(const struct hba_driver *loaded);
};
int controller_new(const struct controller_plan *plan, struct hba_controller **ret_c);

/**
 * controller_move() - To another state, if the table of transitions has it; an event tells. -EBUSY:
 * it does not.
 */
int controller_move(struct hba_controller *c, enum hba_state to);
/**
 * quiesce_device() - The driver is stopped, then the bus: 0 says that the device reaches no memory.
 * Service thread.
 */
int quiesce_device(struct hba_controller *c);
/**
 * quiesce_dead() - Every task ends, and no other comes. `lost`: nobody says that the device reaches
 * no memory. Loop; it owes the dones.
 */
void quiesce_dead(struct hba_controller *c, bool lost);
/**
 * quiesce_lost() - quiesce_device() has failed: quiesce_dead(), with a sentence that says so, as an
 * event and as hba_error(). -EIO.
 */
int quiesce_lost(struct hba_controller *c);
/**
 * quiesce_stuck() - No turn ever begins again: quiesce_dead(), and every done is run here and now.
 * Again, for who comes late. Loop.
 */
void quiesce_stuck(struct hba_controller *c);
/**
 * quiesce_gone() - The bus has lost its device: it is closed, then everything ends,
 * HBA_NOT_PRESENT, and it is gone. Loop.
 */
void quiesce_gone(struct hba_controller *c);
/**
 * quiesce_let_go() - The device is wanted back, and works: what is out ends, the driver stops, the
 * bus is closed; then it is gone. Loop.
 */
void quiesce_let_go(struct hba_controller *c);
/** quiesce_turn() - Whatever letting go can do now. Loop. */
void quiesce_turn(struct hba_controller *c);
uint64_t quiesce_next(const struct hba_controller *c);
/** quiesce_reached() - Is nothing out any more, neither with the driver nor owed to a client? */
bool quiesce_reached(struct hba_controller *c);
/** quiesce_answer() - No task is the driver's any more: every done that is owed is run. */
void quiesce_answer(struct hba_controller *c);
/** quiesce_failed() - Fail: the driver does not stop. -EIO. */
int quiesce_failed(const struct hba_controller *c);
/**
 * driver_error() - What hba_error() says of an op that has failed: the driver's own sentence, if it
 * has left one. Returns `error`.
 */
int driver_error(const struct hba_controller *c, const char *op, int error);
void step_record(struct hba_controller *c, const char *name, uint64_t ns, int error);

/* ---- driver.c */

/**
 * driver_take() - A driver's table, whole and of our size. -EPROTO, with a sentence that begins
 * with `who`.
 */
int driver_take(const struct hba_driver *d, const char *who, struct hba_driver *ret_table);

/* ---- uri.c */

/** uri_options_parse() - The query against the driver's list; refuses the unknown. */
int uri_options_parse(struct hba_controller *c, const char *query);
void uri_options_free(struct hba_controller *c);

#endif
