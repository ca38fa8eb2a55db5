/* SPDX-License-Identifier: MIT */
/*
 * script.h: a device that is a list of expected accesses, for behaviour that neither a real device
 * nor a model can be made to show.
 *
 * A test fills the first part of a struct script, opens a controller on bus_script with
 * script_path() as its path, and calls script_verdict() in the end. The bus is in no registry: no
 * URI leads here.
 *
 *	steps:   ── once ── once ──┬─ ever ─┬── once ──
 *	                           ├─ ever ─┤
 *	                           └─ ever ─┘
 *
 * An access is matched against the current step. Steps that may come at any time, or never, form a
 * set with their neighbours, which the next step that has to come leaves.
 *
 * One thread at a time: the core calls a bus from its loop or, with that fenced off, from its
 * service thread.
 */
#ifndef BUS_SCRIPT_H
#define BUS_SCRIPT_H

#include <hbakit/bus.h>
#include <limits.h>

enum script_kind {
	SCRIPT_CONFIG_READ,
	SCRIPT_CONFIG_WRITE,
	SCRIPT_BAR_READ,
	SCRIPT_BAR_WRITE,
	SCRIPT_MASTER_ON,
	SCRIPT_MASTER_OFF,
	SCRIPT_RESET,
};

/* For script_step::times: any number, none included. */
#define SCRIPT_EVER UINT_MAX

struct script;

/** struct script_step - One expected access, or several alike. */
struct script_step {
	enum script_kind kind;
	uint8_t bar;
	uint8_t width;         /* 0 = any */
	uint64_t offset, span; /* from offset on so many bytes may be meant; 0 = only that offset */
	/* of a read: the reply. Of a write: what has to be written, unless `any` */
	uint64_t value;
	bool any;
	unsigned times; /* 0 and 1: once */
	/*
	 * The device's turn: *value is what was written, or the reply, which it may change. NULL:
	 * none.
	 */
	void (*act)(struct script *s, const struct script_step *step, uint64_t offset,
		    uint64_t *value);
};

enum { SCRIPT_SENTENCE = 320, SCRIPT_PATH = 32, SCRIPT_RANGES = 64 };

struct script {
	/* Set by the test. */
	struct hba_bus_info info;
	const struct script_step *steps;
	size_t n_steps;
	int master_error; /* what bus master on and off return */
	/* physical IOVAs lie together in ranges of so many bytes; 0: this bus has none */
	size_t piece_bytes;
	void *of_test;

	/* private: */
	size_t at;
	unsigned seen; /* of the step we are at */
	bool removed, silent;
	char sentence[SCRIPT_SENTENCE]; /* the first surprise */
	struct script_range {
		struct hba_iova iova;
		void *address;
		size_t length;
	} ranges[SCRIPT_RANGES];
	uint64_t next_iova;
};

extern const struct hba_bus bus_script;

/** script_path() - What leads bus_script to this script. */
void script_path(const struct script *s, char path[SCRIPT_PATH]);
/** script_remove() - The device is pulled out: the bus returns -ENODEV from now on. */
void script_remove(struct script *s);
/**
 * script_silence() - The device is pulled out, and the bus has not noticed: all ones are read,
 * writes go nowhere.
 */
void script_silence(struct script *s);
/**
 * script_memory() - What the device finds at `iova`; NULL: not all of it is mapped, and a real one
 * would have been stopped.
 */
void *script_memory(const struct script *s, uint64_t iova, size_t length);
/** script_verdict() - NULL: all came as expected and nothing is left. Otherwise the sentence. */
const char *script_verdict(struct script *s);

#endif
