/* SPDX-License-Identifier: MIT */
/*
 * plugin.c: what nbdkit calls. A controller for the process, a unit for each connection.
 *
 *	nbdkit hbakit uri=soft:disk.img
 *	hbakit serve soft:disk.img --nbd unix:/run/disk.sock     the same, with words for people
 *
 * nbdkit alone goes into the background, from where only syslog hears it: so the controller is
 * brought up once before that, and what is wrong with it is said to whoever started nbdkit. That it
 * stays (-f), as with `hbakit serve`, it does not tell us.
 *
 * nbdkit checks ranges against the size, and flags against what the connection was offered. The
 * rest of what a client says goes through hba_disk_submit(), which believes nothing.
 */
#include "nbd.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

enum { MOST_EXTENTS = 31 }; /* what one command brings */
enum { USUAL_BLOCK = 4096, MOST_PREFERRED = 32 << 20, MOST_DATA = 32 << 20 };

/* nbdkit has one of each plugin, and gives its functions no pointer: so this is the process's. */
static struct {
	struct keeper keeper;
	char *uri, *driver; /* which keeper.options.plugin points at */
	bool up;
	int folder; /* the one of whoever started us; -1: not known */
} nbd = { .keeper = { .report = -1, .kick = -1, .lifeline.fd = -1 }, .folder = -1 };

/* ---- parameters */

static int take_text(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	if (*to)
		return 0;
	nbd_say("no memory");
	return -1;
}

static int take_flag(bool *to, const char *value)
{
	int r = nbdkit_parse_bool(value);

	if (r >= 0)
		*to = r;
	return r < 0 ? -1 : 0;
}

/* Not for a child of the driver's: who reads it would wait for that one's end, too. */
static int take_report(const char *value)
{
	if (nbdkit_parse_int("report", value, &nbd.keeper.report) < 0)
		return -1;
	if (fcntl(nbd.keeper.report, F_SETFD, FD_CLOEXEC) == 0)
		return 0;
	nbd_say("report=%s: not a descriptor", value);
	return -1;
}

static int take_lifeline(const char *value)
{
	int fd;

	if (nbdkit_parse_int("lifeline", value, &fd) < 0)
		return -1;
	if (lifeline_take(&nbd.keeper.lifeline, fd) == 0)
		return 0;
	nbd_say("lifeline=%s: not a descriptor, or there is no socket in LISTEN_FDS", value);
	return -1;
}

static void print_log(enum hba_log_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	char text[1024];

	snprintf(text, sizeof(text), "%s", line);
	text_make_printable(text, strlen(text), "");
	fprintf(stderr, "%s\n", text);
}

static int take_ms(const char *key, const char *value, uint64_t *to)
{
	unsigned ms;
	int r = nbdkit_parse_unsigned(key, value, &ms);

	if (r == 0)
		*to = ms;
	return r;
}

static int take_verbose(const char *value)
{
	bool verbose = false;
	int r = take_flag(&verbose, value);

	nbd.keeper.options.log = verbose ? print_log : NULL;
	nbd.keeper.options.log_level = HBA_LOG_DEBUG;
	return r;
}

static int nbd_config(const char *key, const char *value)
{
	if (strcmp(key, "uri") == 0)
		return take_text(&nbd.uri, value);
	if (strcmp(key, "driver") == 0)
		return take_text(&nbd.driver, value);
	if (strcmp(key, "read-only") == 0)
		return take_flag(&nbd.keeper.options.read_only, value);
	if (strcmp(key, "verbose") == 0)
		return take_verbose(value);
	if (strcmp(key, "timeout-ms") == 0)
		return take_ms(key, value, &nbd.keeper.options.timeout_ms);
	if (strcmp(key, "slow-ms") == 0)
		return take_ms(key, value, &nbd.keeper.options.slow_ms);
	if (strcmp(key, "report") == 0)
		return take_report(value);
	if (strcmp(key, "lifeline") == 0)
		return take_lifeline(value);
	if (strcmp(key, "alive-ms") == 0)
		return nbdkit_parse_unsigned("alive-ms", value, &nbd.keeper.alive_ms);
	if (strcmp(key, "reopen") == 0)
		return nbdkit_parse_unsigned("reopen", value, &nbd.keeper.most_retry_s);
	nbd_say("%s=: no such parameter: there are uri=, driver=, read-only=, reopen=, "
		"timeout-ms=, slow-ms= and verbose=",
		key);
	return -1;
}

static int nbd_config_complete(void)
{
	if (nbd.uri)
		return 0;
	nbd_say("which controller? Give its URI, as in uri=soft:disk.img");
	return -1;
}

/* ---- the controller */

static void set_up(void)
{
	nbd.keeper.uri = nbd.uri;
	nbd.keeper.options.size = sizeof(nbd.keeper.options);
	nbd.keeper.options.plugin = nbd.driver;
	units_init(&nbd.keeper.units);
}

/*
 * The last time that anybody sees what we say. Who reads a report hears it later, too: then once is
 * enough.
 */
static int nbd_get_ready(void)
{
	int r;

	nbd.folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (nbd.keeper.report >= 0)
		return 0;
	set_up();
	r = keeper_try(&nbd.keeper);
	units_fini(&nbd.keeper.units);
	return r;
}

/*
 * nbdkit in the background is in the root. Paths in a URI are relative to where it was given, also
 * when a driver opens them anew.
 */
static void go_back(void)
{
	if (nbd.folder < 0)
		return;
	if (fchdir(nbd.folder) < 0)
		nbdkit_debug("relative paths are the root's: %s", strerror(errno));
	close(nbd.folder);
	nbd.folder = -1;
}

/* Threads do not live through a fork: not before this one. */
static int nbd_after_fork(void)
{
	go_back();
	set_up();
	nbd.up = keeper_begin(&nbd.keeper) == 0;
	if (!nbd.up)
		units_fini(&nbd.keeper.units);
	return nbd.up ? 0 : -1;
}

static void nbd_cleanup(void)
{
	if (!nbd.up)
		return;
	keeper_end(&nbd.keeper);
	units_fini(&nbd.keeper.units);
	nbd.up = false;
}

static void nbd_unload(void)
{
	free(nbd.uri);
	free(nbd.driver);
	lifeline_fini(&nbd.keeper.lifeline);
}

/* ---- exports */

static int list_unit(const struct unit *unit, const struct hba_lun_info *info, void *arg)
{
	char text[256];

	snprintf(text, sizeof(text), "%s %s %s, serial %s, at %s", info->vendor, info->product,
		 info->revision, info->serial, unit->address);
	return nbdkit_add_export(arg, unit->name, text);
}

static int nbd_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	int r;

	(void)readonly;
	(void)is_tls;
	keeper_hold(&nbd.keeper);
	r = units_each(&nbd.keeper.units, list_unit, exports);
	keeper_release(&nbd.keeper);
	return r;
}

static int open_unit(const char *name, struct export **ret_export)
{
	int r;

	keeper_hold(&nbd.keeper);
	r = keeper_is_lost(&nbd.keeper) ? -ENODEV : units_open(&nbd.keeper.units, name, ret_export);
	keeper_release(&nbd.keeper);
	return r;
}

static const char *nbd_default_export(int readonly, int is_tls)
{
	struct export *e;
	const char *name;

	(void)readonly;
	(void)is_tls;
	if (open_unit("", &e) < 0)
		return "";
	name = nbdkit_strdup_intern(e->name);
	units_close(e);
	return name;
}

static void *refuse_export(const char *name, int error)
{
	if (error == -ENOENT)
		nbd_say("%s: there is no unit '%s': `nbdinfo --list' lists the units", nbd.uri,
			name);
	else
		nbd_say("%s: '%s' is refused: %s", nbd.uri, name, nbd_error_words(error));
	nbdkit_set_error(error == -ENOENT ? ENOENT : nbd_error(error, true));
	return NULL;
}

static void *nbd_open(int readonly)
{
	const char *name = nbdkit_export_name(), *why;
	struct export *e;
	int r = name ? open_unit(name, &e) : -ENOMEM;

	if (r < 0)
		return refuse_export(name ? name : "", r);
	why = units_why_not(&e->info);
	if (why) {
		nbd_say("%s: %s cannot be exported: %s", nbd.uri, e->name, why);
		units_close(e);
		return NULL;
	}
	e->info.read_only = e->info.read_only || readonly || nbd.keeper.options.read_only;
	return e;
}

static void nbd_close(void *handle)
{
	units_close(handle);
}

/* ---- what the unit can */

static int64_t nbd_get_size(void *handle)
{
	const struct export *e = handle;

	return (int64_t)(e->info.blocks * e->info.block_bytes);
}

static int nbd_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	const struct export *e = handle;
	uint32_t physical = e->info.physical_bytes;

	*minimum = e->info.block_bytes;
	*preferred = physical > USUAL_BLOCK && physical <= MOST_PREFERRED ? physical : USUAL_BLOCK;
	if (*preferred < *minimum)
		*preferred = *minimum;
	*maximum = MOST_DATA;
	return 0;
}

static const char *nbd_export_description(void *handle)
{
	const struct hba_lun_info *i = &((const struct export *)handle)->info;

	return nbdkit_printf_intern("%s %s %s, serial %s", i->vendor, i->product, i->revision,
				    i->serial);
}

static int nbd_can_write(void *handle)
{
	return !((const struct export *)handle)->info.read_only;
}

static int nbd_can_trim(void *handle)
{
	return ((const struct export *)handle)->info.thin;
}

static int always(void *handle)
{
	(void)handle;
	return 1;
}

static int nbd_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

/* ---- requests */

static struct leader_request request(enum hba_disk_op op, uint64_t offset, uint64_t length,
				     uint32_t flags)
{
	return (struct leader_request) { .io = { .op = op,
						 .flags =
							 flags & NBDKIT_FLAG_FUA ? HBA_DISK_FUA : 0,
						 .offset = offset,
						 .length = length,
						 .mode = HBA_DATA_CPU } };
}

enum { SENSE_TEXT = 128 }; /* "; sense", and three characters for each of 32 bytes */

static void write_sense(const struct hba_disk_io *io, char text[SENSE_TEXT])
{
	size_t at = io->result.sense_len ? (size_t)snprintf(text, SENSE_TEXT, "; sense") : 0;

	text[at] = '\0';
	for (unsigned i = 0; i < io->result.sense_len && at < SENSE_TEXT; i++)
		at += (size_t)snprintf(text + at, SENSE_TEXT - at, " %02x", io->sense_bytes[i]);
}

static int fail_request(const struct export *e, const struct leader_request *r, int error)
{
	static const char *const names[] = { "read", "write",  "flush",       "trim",
					     "zero", "verify", "block status" };
	char sense[SENSE_TEXT];

	write_sense(&r->io, sense);
	nbd_say("%s: %s of %ju bytes at %ju: %s%s", e->name, names[r->io.op],
		(uintmax_t)r->io.length, (uintmax_t)r->io.offset, nbd_error_words(error), sense);
	nbdkit_set_error(nbd_error(error, r->io.op != HBA_DISK_READ));
	return -1;
}

static int plugin_finish(struct export *e, struct leader_request *r)
{
	int error = keeper_do(&nbd.keeper, e, r);

	return error < 0 ? fail_request(e, r, error) : 0;
}

static int nbd_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct leader_request r = request(HBA_DISK_READ, offset, count, flags);

	r.io.data.buffer = buffer;
	return plugin_finish(handle, &r);
}

static int nbd_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
		      uint32_t flags)
{
	struct leader_request r = request(HBA_DISK_WRITE, offset, count, flags);

	r.io.data.buffer = (void *)(uintptr_t)buffer; /* only read from */
	return plugin_finish(handle, &r);
}

static int nbd_flush(void *handle, uint32_t flags)
{
	struct leader_request r = request(HBA_DISK_FLUSH, 0, 0, flags);

	return plugin_finish(handle, &r);
}

/*
 * A hint: of blocks that are hit in part nothing is said, and a unit that knows no UNMAP has done
 * all it can.
 */
static int nbd_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct export *e = handle;
	uint64_t block = e->info.block_bytes, begin = (offset + block - 1) / block * block,
		 end = (offset + count) / block * block;
	struct leader_request r;
	int error;

	if (begin >= end)
		return 0;
	r = request(HBA_DISK_UNMAP, begin, end - begin, flags);
	error = keeper_do(&nbd.keeper, e, &r);
	return error < 0 && error != -EOPNOTSUPP ? fail_request(e, &r, error) : 0;
}

/* What the unit cannot do nbdkit writes as data, if the client did not ask for speed. */
static int nbd_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct leader_request r = request(HBA_DISK_ZERO, offset, count, flags);
	int error;

	if (!(flags & NBDKIT_FLAG_MAY_TRIM))
		r.io.flags |= HBA_DISK_ALLOCATE;
	if (flags & NBDKIT_FLAG_FAST_ZERO)
		r.io.flags |= HBA_DISK_FAST;
	error = keeper_do(&nbd.keeper, handle, &r);
	if (error != -EOPNOTSUPP)
		return error < 0 ? fail_request(handle, &r, error) : 0;
	nbdkit_set_error(EOPNOTSUPP);
	return -1;
}

static uint32_t extent_type(const struct export *e, enum hba_disk_state state)
{
	uint32_t zero = e->info.reads_zero ? NBDKIT_EXTENT_ZERO : 0;

	if (state == HBA_DISK_MAPPED)
		return 0;
	return state == HBA_DISK_DEALLOCATED ? NBDKIT_EXTENT_HOLE | zero : zero;
}

/* The unit cannot say, or not now. Who asks reads next, and is told then if the trouble lasts. */
static bool is_no_answer(int error)
{
	return error == -EOPNOTSUPP || error == -EAGAIN;
}

/* As many as one command brings: nbdkit, or the client, asks again for the rest. */
static int nbd_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
		       struct nbdkit_extents *extents)
{
	struct export *e = handle;
	uint64_t block = e->info.block_bytes, begin = offset / block * block,
		 end = (offset + count + block - 1) / block * block;
	struct leader_request r = request(HBA_DISK_STATUS, begin, end - begin, 0);
	struct hba_disk_extent told[MOST_EXTENTS];
	int error;

	r.io.extents = told;
	r.io.max_extents = flags & NBDKIT_FLAG_REQ_ONE ? 1 : MOST_EXTENTS;
	error = e->info.thin ? keeper_do(&nbd.keeper, e, &r) : -EOPNOTSUPP;
	if (is_no_answer(error))
		return nbdkit_add_extent(extents, offset, count, 0); /* data, for all one knows */
	if (error < 0)
		return fail_request(e, &r, error);
	for (uint32_t i = 0; i < r.io.n_extents; i++)
		if (nbdkit_add_extent(extents, told[i].offset, told[i].length,
				      extent_type(e, told[i].state)) < 0)
			return -1;
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "hbakit",
	.longname = "hbakit: SCSI units of a driver in user space",
	.config = nbd_config,
	.config_complete = nbd_config_complete,
	.config_help = "uri=URI            (required) which controller\n"
		       "driver=FILE        take the driver from this shared object first\n"
		       "read-only=BOOL     nothing that changes a medium is sent\n"
		       "reopen=SECONDS     open a controller that is gone or dead again, with "
		       "waits up to SECONDS\n"
		       "verbose=BOOL       show what library and driver log",
	.magic_config_key = "uri",
	.get_ready = nbd_get_ready,
	.after_fork = nbd_after_fork,
	.cleanup = nbd_cleanup,
	.unload = nbd_unload,
	.list_exports = nbd_list_exports,
	.default_export = nbd_default_export,
	.open = nbd_open,
	.close = nbd_close,
	.export_description = nbd_export_description,
	.get_size = nbd_get_size,
	.block_size = nbd_block_size,
	.can_write = nbd_can_write,
	.can_flush = always,
	.can_trim = nbd_can_trim,
	.can_zero = always,
	.can_fast_zero = always,
	.can_fua = nbd_can_fua,
	.can_extents = always,
	.can_multi_conn = always, /* SYNCHRONIZE CACHE is of the unit, whoever wrote */
	.pread = nbd_pread,
	.pwrite = nbd_pwrite,
	.flush = nbd_flush,
	.trim = nbd_trim,
	.zero = nbd_zero,
	.extents = nbd_extents,
};

/* The macro defines what no header declares. */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
