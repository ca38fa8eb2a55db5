/* SPDX-License-Identifier: MIT */
/* bench.h: the loop that measures. cmd-bench.c asks and tells; this sends. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/cli.h"
#include "cli/histogram.h"
#include "cli/verify-map.h"

/** struct bench_plan - What to do. */
struct bench_plan {
	bool reads, writes; /* both: half and half */
	bool random;
	bool verify;
	uint32_t bytes; /* per command */
	uint32_t depth;
	uint64_t ns; /* how long */
};

/**
 * struct bench_result - What came out. `first_error` is a sentence, if there were errors: one for
 * each command at most.
 */
struct bench_result {
	struct histogram latency; /* ns */
	/* commands: that were measured; ended: all, failed ones too */
	uint64_t commands, ended, errors, different, verified, ns;
	char first_error[4 * CLI_WORDS];
};

/** bench_run() - 0: the result is whole, errors may be in it; or CLI_FAILED, told. */
int bench_run(struct cli_session *s, struct hba_lun *lun, const struct bench_plan *plan,
	      struct bench_result *result);

#endif
