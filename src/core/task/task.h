/* SPDX-License-Identifier: MIT */
/* task.h: the pool of tasks; the driver's table, report and options. */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include "core/dma/dma.h"

enum {
	MAX_POOL = 65536, /* a slot is 16 bits */
	MAX_QUEUES = 256, /* a task's queue is 8 bits */
	TMF_TASKS = 1,
	MIN_INTERNAL_TASKS = 2,
	INTERNAL_ALIGNMENT = 4096, /* also the most that a report may request */
	/* data of an internal task: REPORT LUNS of 16,384 units and more */
	INTERNAL_BYTES = 160 * 1024,
	/*
	 * of one task, however many a chip can take; also of a list written anew for a driver that
	 * is no chip
	 */
	MAX_SEGMENTS = 256,
};

struct hba_lun;

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

/** enum slowness - How far a slow task has been reported while it is with the driver. */
enum slowness {
	SLOW_NOT,
	SLOW_SEEN, /* there for hba_options::slow_ms: its end raises an event */
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
	union hba_data given; /* the client's list, while the head holds another one */
	uint64_t deadline;    /* ns; NO_DEADLINE = none */
	union {
		uint64_t anew; /* all of what follows: each command begins with zeros */
		struct {
			uint16_t repeats;     /* how often it was sent again */
			uint8_t tries;        /* of these, the ones that a rule counts */
			bool sense_asked : 1; /* once per try */
			/* its unit is frozen until REQUEST SENSE has been sent */
			bool sense_wanted : 1;
			bool final : 1;     /* whatever it ends as, it is not sent again */
			bool cancelled : 1; /* by hba_cancel, not by its timeout */
			/* another disk was there before it ended: it must not end well */
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
	/* the same for the driver's CPU, in DMA mode with wants_task_data; NULL */
	struct iovec *cpu;
	uint8_t *sense; /* HBA_MAX_SENSE bytes */

	/* The client's other fields, and, HEAD_STAGED only, how far it has come. */
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
	uint32_t slot; /* ID_EMPTY: free */
};

struct pool {
	struct task *tasks; /* by slot: tmf, internal, clients */
	unsigned n, n_clients;
	void *privs; /* task_priv_size apart, rounded up to a line */
	uint8_t *senses;
	union item *items;
	unsigned max_items;
	struct iovec *cpu; /* max_items for each task, in DMA mode with wants_task_data */
	struct hba_mapping *internal_memory;
	/* HBA data of all tasks, `stride` apart; NULL: the driver's own */
	struct hba_mapping *arena;
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

/* ---- task-text.c: a command and a time in words */

enum { TASK_WORDS = 96, TIME_WORDS = 24 };

/** task_words() - "READ(10) of 0:1, block 8": the command that is with the driver, or was last. */
void task_words(const struct task *t, char text[TASK_WORDS]);
/** time_words() - "850 ms", "5 s", "30.5 s". */
void time_words(uint64_t ns, char text[TIME_WORDS]);

/* ---- report.c */

void report_prepare(const struct hba_driver *d, struct hba_report *report);
/**
 * report_check() - Fill in defaults and judge: every missing and every contradictory field in one
 * sentence.
 */
int report_check(struct hba_controller *c, struct hba_report *report);

/* ---- driver-table.c */

/**
 * driver_take() - A driver's table, whole and of our size. -EPROTO, with a sentence that begins
 * with `who`.
 */
int driver_take(const struct hba_driver *d, const char *who, struct hba_driver *ret_table);

/* ---- uri-options.c */

/** uri_options_parse() - The query against the driver's list; refuses the unknown. */
int uri_options_parse(struct hba_controller *c, const char *query);
void uri_options_free(struct hba_controller *c);

#endif
