/* SPDX-License-Identifier: MIT */
/*
 * cli.h: the hbakit command, inside. One block per file; a subcommand is a file cmd-*.c with one
 * function.
 *
 * Everybody returns an exit status or passes one on; who finds a fault says it, once, by cli_fail()
 * or cli_usage().
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/base.h"

#include <argp.h>
#include <hbakit/hbakit.h>
#include <json-c/json.h>
#include <stdio.h>

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/** struct cli_where - Which unit. */
struct cli_where {
	bool has_target, has_lun;
	/*
	 * `lun` is all eight of them, the first one on top: how a unit without a plain number is
	 * named
	 */
	bool lun_is_bytes;
	uint64_t target, lun;
};

/** struct cli_common - What more than one command is asked. */
struct cli_common {
	const char *uri;
	const char *plugin;
	bool json, verbose;
	uint64_t timeout_ms, slow_ms; /* 0: the library's own */
	struct cli_where where;
	bool read_only; /* set by the command, not by an option */
};

/** enum cli_asks - Which of these. --json belongs to every command. */
enum cli_asks {
	CLI_ASKS_PLUGIN = 1,
	CLI_ASKS_URI = 2,  /* and --verbose, --timeout, --slow */
	CLI_ASKS_UNIT = 4, /* --target, --lun */
	CLI_ASKS_CONTROLLER = CLI_ASKS_PLUGIN | CLI_ASKS_URI,
};

/** struct cli_command - One subcommand, at the bottom of its file. */
struct cli_command {
	const char *name, *summary;
	/* for --help; in `doc`, what follows a \v comes after the options */
	const char *arguments, *doc;
	unsigned asks;                     /* enum cli_asks */
	const struct argp_option *options; /* its own. Default: none */
	/*
	 * Its own options, and arguments that are no URI, as argp gives them. ARGP_ERR_UNKNOWN: the
	 * usual is done. Default: that.
	 */
	error_t (*take)(struct cli_common *common, int key, char *arg);
	int (*run)(int argc, char **argv); /* argv[0] is "hbakit NAME". Returns enum cli_exit */
};

extern const struct cli_command cmd_bench, cmd_cdb, cmd_check, cmd_completion, cmd_drivers,
	cmd_info, cmd_inquiry, cmd_pci, cmd_read, cmd_scan, cmd_serve, cmd_write;

/** cli_commands() - All of them; NULL behind the last. */
const struct cli_command *const *cli_commands(void);

/* ---- message.c: words for the person at the terminal */

/**
 * cli_fail() - "hbakit: ..." as one line on stderr, whatever the text holds. Returns CLI_FAILED.
 */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** cli_usage() - The same for a command line that cannot be understood. Returns CLI_USAGE. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** cli_say_log() - A line of the library's or the driver's log, on stderr, whatever it holds. */
void cli_say_log(const char *line);
/** cli_begin_output() - From here on it is known why a write to stdout failed. False: no memory. */
bool cli_begin_output(void);
/**
 * cli_finish_output() - Flush stdout; a reader that went away is no news, a full disk is. Returns
 * enum cli_exit.
 */
int cli_finish_output(void);

/**
 * cli_printable() - A copy made by text_make_printable(): for JSON; what is printed as text passes
 * through that anyway. The caller frees.
 */
char *cli_printable(const char *text);
/** cli_format_time() - "850 ns", "12.3 us", "1.50 ms", "2.00 s". */
void cli_format_time(uint64_t ns, char text[16]);
/** cli_print_hex() - Sixteen bytes to a line, offset and ASCII beside them. */
void cli_print_hex(const uint8_t *bytes, size_t length);

/* ---- options.c: what many commands are asked */

/** CLI_TOLD - What an argp parser returns when it has said what is wrong. */
#define CLI_TOLD ECANCELED

/**
 * cli_parse() - A command line into `common` and what lies around it; errors are one line. 0, or an
 * exit status.
 */
int cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_common *common);
/** cli_each_option() - Every option that a command has, its own and the common ones; not --help. */
void cli_each_option(const struct cli_command *command,
		     void (*each)(const struct argp_option *o, void *arg), void *arg);
/* For parsers: text to number, or a sentence that names the option and CLI_TOLD. */
error_t cli_take_number(const char *option, const char *text, uint64_t *ret_number);
error_t cli_take_size(const char *option, const char *text, uint64_t *ret_bytes);
/** cli_take_time() - "500ms", "30", "30s", "2m"; from 1 ms to a day. */
error_t cli_take_time(const char *option, const char *text, uint64_t *ret_ms);
/** cli_take_count() - From 1 to `most` of `what`, as "seconds". */
error_t cli_take_count(const char *option, const char *text, uint64_t most, const char *what,
		       uint64_t *ret_count);

/* ---- session.c: a controller for as long as a command lasts */

enum {
	CLI_VIOLATIONS,
	CLI_REFUSED_TARGETS,
	CLI_LEFT_OUT_UNITS,
	CLI_RECOVERIES,
	CLI_LOST_WRITES,
	CLI_HANGS,
	CLI_DEVICE_ERRORS,
	CLI_RETRIES,
	CLI_SLOW,
	CLI_LOST,
	CLI_TROUBLES
};

/** struct cli_trouble - Of one kind: how many, and the first. */
struct cli_trouble {
	uint64_t n;
	struct hba_event first;
	struct limit live; /* of those told while the command runs */
};

enum { CLI_STOP_FAILURE = 512 };

/** struct cli_session - Zeroed it is closed. One thread. */
struct cli_session {
	struct hba_controller *controller;
	const char *uri;
	int signal_fd; /* SIGINT, SIGTERM, SIGHUP: they end the work, not the program */
	int signal;    /* the one that came, or 0 */
	bool own_fd;   /* signal_fd is open */
	bool over;     /* run() says that nothing will come any more */
	bool verbose;  /* troubles are told live */
	struct cli_trouble events_seen[CLI_TROUBLES];
	const char *interrupted;             /* what was, by that signal */
	char stop_failure[CLI_STOP_FAILURE]; /* a sentence; empty: there is none */
};

/**
 * cli_with_controller() - Open and start a controller, do `work` with it, and close it whatever
 * became of that.
 *
 * 0, or an exit status, told: the first there was. Memory that tasks may reach is `arguments`', or
 * back when `work` returns.
 */
int cli_with_controller(const struct cli_common *common,
			int (*work)(void *arguments, struct cli_session *s), void *arguments);
/**
 * cli_with_signals() - The same without the controller, for `work` that opens its own by
 * cli_open_controller(), and closes it.
 */
int cli_with_signals(const struct cli_common *common,
		     int (*work)(void *arguments, struct cli_session *s), void *arguments);
/**
 * cli_run_view() - All of a command that starts a controller and shows something of it. Returns
 * enum cli_exit.
 */
int cli_run_view(const struct cli_command *command, int argc, char **argv,
		 struct json_object *(*as_json)(struct hba_controller *c),
		 void (*print)(struct hba_controller *c, bool verbose));
/** cli_open_controller() - As the options say; not started. 0, or CLI_FAILED, told. */
int cli_open_controller(const struct cli_session *s, const struct cli_common *common,
			struct hba_controller **ret_c);
/**
 * cli_library_failed() - hba_error() as our one line, with the URI before it; `what` failed, or
 * NULL. Returns CLI_FAILED.
 */
int cli_library_failed(const struct cli_session *s, const char *what);
/**
 * cli_stop() - Every task comes back through its done, now. Harmless twice. Whether it went well is
 * told at the end.
 */
void cli_stop(struct cli_session *s);
/**
 * cli_start() - hba_controller_start(), which a signal ends. CLI_FAILED: said why, or it is said at
 * the end.
 */
int cli_start(struct cli_session *s);
/** cli_interrupted() - Has a signal come? Looks for one (a system call). */
bool cli_interrupted(struct cli_session *s);
/**
 * cli_wait() - One turn of the loop, sleeping until there is something: a completion, a signal, or
 * `fd` (-1: none).
 */
void cli_wait(struct cli_session *s, int fd, short events);
/**
 * cli_say_interrupted() - The one line for it, said when the controller has been stopped. `what`
 * lives on. Returns CLI_FAILED.
 */
int cli_say_interrupted(struct cli_session *s, const char *what);
/** cli_no_such_unit() - Told: CLI_FAILED. */
int cli_no_such_unit(const struct cli_session *s, const struct cli_where *where);
/** cli_find_unit() - 0 and the unit with its info; or CLI_FAILED, told. */
int cli_find_unit(struct cli_session *s, const struct cli_where *where, struct hba_lun **ret_lun,
		  struct hba_lun_info *ret_info);
enum { CLI_UNIT_NAME = 48 }; /* twenty digits, a colon, sixteen hex digits, and room */
/** cli_unit_name() - "0:1" */
void cli_unit_name(const struct hba_lun_info *info, char text[CLI_UNIT_NAME]);
/**
 * cli_unit_max_transfer() - Bytes that surely fit one command, at most `wish`; whole blocks, at
 * least one.
 */
uint64_t cli_unit_max_transfer(const struct cli_session *s, const struct hba_lun_info *info,
			       uint64_t wish);

/* ---- event-summary.c: what no command's outcome tells */

/**
 * cli_note_events() - The library keeps a bounded number of events: to be called now and then.
 * Tells them live, if that is wanted.
 */
void cli_note_events(struct cli_session *s);
/** cli_note_event() - One of them, for whoever takes the controller's events itself. */
void cli_note_event(struct cli_session *s, const struct hba_event *e);
/**
 * cli_print_event_summary() - At the end: what was not told live. `said`: the sentence with which
 * the command failed; "": it did not.
 */
void cli_print_event_summary(const struct cli_session *s, const char *said);
/** cli_json_conduct() - "io_path_mappings" and "violations": so far, of this very controller. */
void cli_json_conduct(struct json_object *o, struct cli_session *s);

/* ---- exchange.c: one CDB, there and back */

/** struct cli_exchange - Fill the first part. */
struct cli_exchange {
	uint8_t cdb[HBA_MAX_CDB];
	uint8_t cdb_len;
	enum hba_direction direction;
	void *data;
	size_t length;

	enum hba_outcome outcome;
	size_t bytes; /* that really moved */
	uint8_t sense[HBA_MAX_SENSE];
	uint8_t sense_len;
	bool done;
};

/** cli_exchange() - 0: there is an outcome, whichever; or CLI_FAILED, told. */
int cli_exchange(struct cli_session *s, struct hba_lun *lun, struct cli_exchange *x);

/* ---- names.c: numbers of the standards as words */

enum { CLI_WORDS = 256 };

void cli_command_name(const uint8_t *cdb, size_t length, char text[CLI_WORDS]);
void cli_outcome_name(enum hba_outcome outcome, char text[CLI_WORDS]);
const char *cli_type_name(uint8_t type);
/**
 * cli_sense_words() - "Illegal Request: Invalid field in cdb, byte 2 bit 3 of the CDB"; what is
 * unreadable is said to be.
 */
void cli_sense_words(const uint8_t *sense, size_t length, char text[CLI_WORDS]);
struct json_object *cli_sense_json(const uint8_t *sense, size_t length);

/* ---- hex.c */

/** cli_parse_cdb() - "12 00 …" or "1200…", in as many words as one likes. 0; or CLI_USAGE, told. */
int cli_parse_cdb(char *const *words, size_t n_words, uint8_t cdb[HBA_MAX_CDB],
		  uint8_t *ret_length);

/* ---- json.c */

void cli_json_text(struct json_object *o, const char *key, const char *text);
void cli_json_number(struct json_object *o, const char *key, uint64_t n);
void cli_json_double(struct json_object *o, const char *key, double d);
void cli_json_hex(struct json_object *o, const char *key, const uint8_t *bytes, size_t length);
/** cli_json_lun() - "lun": the unit's number; if it has none, its eight bytes as hex. */
void cli_json_lun(struct json_object *o, const struct hba_lun_info *info);
/** cli_json_print() - The one object of --json, to stdout; takes it. Returns enum cli_exit. */
int cli_json_print(struct json_object *o);

/* ---- report.c: a controller described */

struct json_object *cli_controller_json(const struct hba_controller *c);
struct json_object *cli_properties_json(const struct hba_controller *c, uint64_t target);
void cli_print_headline(const struct hba_controller *c); /* URI, driver, state */
/* its properties, its steps and their times, the pool */
void cli_print_controller(const struct hba_controller *c, bool steps);
void cli_print_report(const struct hba_report *r);
void cli_print_properties(const struct hba_controller *c, uint64_t target, const char *indent);

/* ---- progress.c: a bar on stderr, if that is a terminal */

/** struct cli_progress - Set up by cli_progress_begin(). `total` 0: not known. */
struct cli_progress {
	const char *verb;
	uint64_t total, begun_ns, shown_ns;
	bool on;
};

void cli_progress_begin(struct cli_progress *p, const char *verb, uint64_t total);
void cli_progress_show(struct cli_progress *p, uint64_t bytes); /* now and then; cheap in between */
void cli_progress_end(struct cli_progress *p);

/* ---- stream.c: a ring of disk requests, oldest first */

enum { CLI_STREAM_DEPTH = 32, CLI_STREAM_CHUNK = 256 * 1024 };

enum cli_slot_state { CLI_SLOT_FREE, CLI_SLOT_OUT, CLI_SLOT_BACK };

struct cli_slot {
	struct hba_disk_io io;
	uint8_t *data;
	enum cli_slot_state state;
	struct cli_stream *stream;
};

/**
 * struct cli_stream - Slots are taken at `head` and come back at `tail`, in order. It owns their
 * memory.
 */
struct cli_stream {
	struct cli_session *session;
	struct hba_lun *lun;
	struct cli_slot slots[CLI_STREAM_DEPTH];
	uint8_t *memory;
	uint64_t head, tail; /* slots ever taken, ever given back; head - tail ≤ CLI_STREAM_DEPTH */
	size_t chunk;        /* bytes of each slot's data */
	uint32_t generation; /* of the disk that is meant: requests to another one fail */
	uint64_t commands, bytes;
};

/** cli_stream_begin() - For the disk that `info` describes. 0, or CLI_FAILED, told. */
int cli_stream_begin(struct cli_stream *st, struct cli_session *s, struct hba_lun *lun,
		     const struct hba_lun_info *info, size_t chunk);
/** cli_stream_end() - Waits for what is out, then frees. */
void cli_stream_end(struct cli_stream *st);
/** cli_stream_free_slot() - The slot at the head, or NULL if all are taken. */
struct cli_slot *cli_stream_free_slot(struct cli_stream *st);
/** cli_stream_send() - Send the slot at the head. Negative errno: it is still free. */
int cli_stream_send(struct cli_stream *st, struct cli_slot *slot, enum hba_disk_op op,
		    uint64_t offset, size_t length);
/** cli_stream_oldest() - The slot at the tail if it has come back; NULL: none, or not yet. */
struct cli_slot *cli_stream_oldest(struct cli_stream *st);
void cli_stream_give_back(struct cli_stream *st);
bool cli_stream_is_empty(const struct cli_stream *st);
/** cli_disk_error() - One line for a request that failed. Returns CLI_FAILED. */
int cli_disk_error(const struct cli_session *s, const struct hba_disk_io *io, const char *what,
		   int error);
/**
 * cli_other_disk() - One line: the medium was changed while this command was at work, as `what`
 * showed. Returns CLI_FAILED.
 */
int cli_other_disk(const struct cli_session *s, const struct hba_lun *lun, const char *what);

/* ---- files.c: the other end of read and write */

/** struct cli_file - A file, a pipe, a terminal. Zeroed it is closed. */
struct cli_file {
	int fd;
	const char *name; /* as said to people */
	bool own;         /* to be closed */
	bool regular;
	uint64_t size;    /* of a regular one, from where it stands */
	uint64_t written; /* bytes, by cli_write_all() */
	/*
	 * output goes into the second, which becomes the first if it is kept; NULL: it goes where
	 * it is
	 */
	char *place, *temporary;
};

int cli_open_input(const char *path, struct cli_file *ret_file); /* NULL or "-": stdin. Told */
/**
 * cli_open_output() - NULL or "-": stdout. What a regular file holds stays there until
 * cli_keep_file(). Told.
 */
int cli_open_output(struct cli_session *s, const char *path, struct cli_file *ret_file);
/**
 * cli_keep_file() - The output is whole: put it into its place, which outlives a power loss from
 * then on. Told.
 */
int cli_keep_file(struct cli_file *f);
/**
 * cli_close_file() - Output that was not kept is gone; what was there before is as it was. Harmless
 * twice.
 */
void cli_close_file(struct cli_file *f);
/** cli_file_fate() - What becomes of output that ended too early: the end of a sentence. */
const char *cli_file_fate(const struct cli_file *f);
/**
 * cli_write_all() - 0; -EINTR when a signal ended it; or negative errno. Waits for slow readers
 * without missing signals.
 */
int cli_write_all(struct cli_session *s, struct cli_file *f, const uint8_t *data, size_t length);
/** cli_read_some() - Bytes, fewer than `length` only at the end; -EINTR as above. */
ssize_t cli_read_full(struct cli_session *s, const struct cli_file *f, uint8_t *data,
		      size_t length);

/* ---- output-guard.c */

/**
 * cli_guard_output() - An "output", or another `use`, that is a file of the controller's own. 0:
 * it is not; or CLI_FAILED, told.
 */
int cli_guard_output(const char *path, const char *uri, const char *use);

/* ---- plot.c */

struct histogram;
/** cli_plot_check() - Is there gnuplot? 0, or CLI_FAILED, told. */
int cli_plot_check(void);
/** cli_plot() - Draw into `fd`. 0, or CLI_FAILED, told. */
int cli_plot(struct cli_session *s, const struct histogram *h, const char *title, int fd);

#endif
