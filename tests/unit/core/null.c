/* SPDX-License-Identifier: MIT */
/*
 * null.c: NULL, to every public function: a sentence that names it, or the end of the program, or
 * it is fine and does nothing. Never silence. tests/style/exported-symbols.py holds the list
 * against the library's map.
 */
#include <hbakit/disk.h>
#include <hbakit/driver.h>
#include <hbakit/hbakit.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka wants some of the above first. */
#include <cmocka.h>

/*
 * NAMED: hba_error() has a sentence. ENDS: an assertion, or the access itself. FINE: its header
 * says so, or there is no pointer.
 */
enum end { FINE, NAMED = 77, ENDS };

/* clang-format off */
#define FUNCTIONS(X) \
	X(ENDS, hba_bar_copy_from, (NULL, 0, NULL, 1)) \
	X(ENDS, hba_bar_copy_to, (NULL, 0, NULL, 1)) \
	X(ENDS, hba_bar_map, (NULL, 0, NULL)) \
	X(ENDS, hba_bar_read, (NULL, 0, 4)) \
	X(ENDS, hba_bar_write, (NULL, 0, 0, 4)) \
	X(ENDS, hba_bar_write_block, (NULL, 0, NULL, 1)) \
	X(NAMED, hba_buffer_create, (NULL, HBA_DEVICE_BOTH, 1, 0, NULL)) \
	X(NAMED, hba_buffer_import, (NULL, 0, 0, 1, NULL)) \
	X(NAMED, hba_buffer_map, (NULL, NULL)) \
	X(FINE, hba_buffer_release, (NULL)) \
	X(ENDS, hba_bus_master_on, (NULL)) \
	X(FINE, hba_bus_next, (NULL)) \
	X(ENDS, hba_bus_reset_seen, (NULL)) \
	X(ENDS, hba_cancel, (NULL)) \
	X(ENDS, hba_complete, (NULL, NULL)) \
	X(ENDS, hba_config_read, (NULL, 0, 4)) \
	X(ENDS, hba_config_write, (NULL, 0, 0, 4)) \
	X(NAMED, hba_controller_arm, (NULL)) \
	X(FINE, hba_controller_close, (NULL)) \
	X(FINE, hba_controller_cancel, (NULL)) \
	X(ENDS, hba_controller_counts, (NULL, NULL)) \
	X(ENDS, hba_controller_driver, (NULL)) \
	X(ENDS, hba_controller_fd, (NULL)) \
	X(NAMED, hba_controller_leave_loop, (NULL)) \
	X(NAMED, hba_controller_open, (NULL, NULL, NULL)) \
	X(ENDS, hba_controller_priv, (NULL)) \
	X(ENDS, hba_controller_queue, (NULL, 0)) \
	X(ENDS, hba_controller_report, (NULL)) \
	X(NAMED, hba_controller_rescan, (NULL)) \
	X(NAMED, hba_controller_run, (NULL, 1)) \
	X(NAMED, hba_controller_set_power, (NULL, HBA_POWER_OFF)) \
	X(NAMED, hba_controller_start, (NULL)) \
	X(ENDS, hba_controller_state, (NULL)) \
	X(ENDS, hba_controller_steps, (NULL, NULL)) \
	X(NAMED, hba_controller_stop, (NULL)) \
	X(NAMED, hba_controller_take_loop, (NULL)) \
	X(ENDS, hba_controller_uri, (NULL)) \
	X(ENDS, hba_controller_variant, (NULL)) \
	X(ENDS, hba_device_error, (NULL, "%s", "")) \
	X(ENDS, hba_discovery_done, (NULL)) \
	X(NAMED, hba_disk_do, (NULL)) \
	X(NAMED, hba_disk_submit, (NULL)) \
	X(NAMED, hba_driver_load, (NULL, NULL)) \
	X(FINE, hba_driver_next, (NULL)) \
	X(FINE, hba_driver_unload, (NULL)) \
	X(FINE, hba_error, ()) \
	X(NAMED, hba_event_next, (NULL, NULL)) \
	X(ENDS, hba_fail, (NULL, -1, "%s", "")) \
	X(ENDS, hba_for_each_task, (NULL, NULL, NULL, NULL)) \
	X(ENDS, hba_log, (NULL, HBA_LOG_ERROR, "%s", "")) \
	X(ENDS, hba_lower, (NULL, 1)) \
	X(ENDS, hba_lun_controller, (NULL)) \
	X(ENDS, hba_lun_find, (NULL, 0, 0)) \
	X(ENDS, hba_lun_get_info, (NULL, NULL)) \
	X(ENDS, hba_lun_next, (NULL, NULL)) \
	X(ENDS, hba_lun_number, (NULL, 0, NULL)) \
	X(ENDS, hba_luns_changed, (NULL, 0)) \
	X(NAMED, hba_manage, (NULL)) \
	X(ENDS, hba_mapping_address, (NULL)) \
	X(NAMED, hba_mapping_create, (NULL, HBA_DEVICE_BOTH, 1, 0, NULL)) \
	X(ENDS, hba_mapping_iova, (NULL)) \
	X(ENDS, hba_mapping_length, (NULL)) \
	X(ENDS, hba_mapping_region, (NULL)) \
	X(FINE, hba_mapping_release, (NULL)) \
	X(ENDS, hba_media_changed, (NULL, 0, NULL)) \
	X(ENDS, hba_now, (NULL)) \
	X(ENDS, hba_pci_next, (NULL, NULL)) \
	X(ENDS, hba_pci_next_for, (NULL, NULL, NULL)) \
	X(ENDS, hba_poll_within, (NULL, 1)) \
	X(ENDS, hba_port_status, (NULL, HBA_PORT_ONLINE)) \
	X(ENDS, hba_property_get, (NULL, 0, 0, NULL)) \
	X(ENDS, hba_queue_controller, (NULL)) \
	X(ENDS, hba_queue_index, (NULL)) \
	X(ENDS, hba_queue_priv, (NULL)) \
	X(ENDS, hba_queue_watch, (NULL, 0, 0)) \
	X(ENDS, hba_ready, (NULL, NULL, NULL)) \
	X(ENDS, hba_remove_property, (NULL, NULL, NULL)) \
	X(ENDS, hba_requeue, (NULL, HBA_SCOPE_LUN)) \
	X(ENDS, hba_set_property, (NULL, NULL, NULL)) \
	X(FINE, hba_state_name, (HBA_STARTED)) \
	X(NAMED, hba_submit, (NULL, NULL, NULL)) \
	X(ENDS, hba_target_block, (NULL, 0, true)) \
	X(ENDS, hba_target_create, (NULL, 0, NULL)) \
	X(ENDS, hba_target_destroy, (NULL, 0)) \
	X(ENDS, hba_target_find, (NULL, 0)) \
	X(ENDS, hba_target_id, (NULL)) \
	X(ENDS, hba_target_priv, (NULL)) \
	X(ENDS, hba_task_by_cookie, (NULL, 0)) \
	X(ENDS, hba_task_by_id, (NULL, 0)) \
	X(ENDS, hba_task_copy_from, (NULL, 0, NULL, 1)) \
	X(ENDS, hba_task_copy_to, (NULL, 0, NULL, 1)) \
	X(ENDS, hba_task_data, (NULL, NULL)) \
	X(NAMED, hba_task_get, (NULL, 0, NULL, NULL)) \
	X(ENDS, hba_task_lun_priv, (NULL)) \
	X(FINE, hba_task_put, (NULL)) \
	X(ENDS, hba_task_target, (NULL)) \
	X(ENDS, hba_tmf_complete, (NULL, HBA_FUNCTION_COMPLETE)) \
	X(ENDS, hba_uri_number, (NULL, NULL, NULL)) \
	X(ENDS, hba_uri_option, (NULL, NULL)) \
	X(ENDS, hba_uri_path, (NULL)) \
	X(ENDS, hba_vector_bind, (NULL, 0)) \
	X(FINE, hba_version, ()) \
	X(ENDS, hba_wait, (NULL, 0)) \
	X(ENDS, hba_wait_bar32, (NULL, NULL, 0, 0, 0, 0)) \
	X(ENDS, hba_wait_for, (NULL, NULL, NULL, 0)) \
	X(NAMED, hba_waiter_cancel, (NULL)) \
	X(ENDS, hba_writes_lost, (NULL, NULL, NULL, "%s", ""))
/* clang-format on */

#define BODY(want, function, arguments)   \
	static void call_##function(void) \
	{                                 \
		(void)function arguments; \
	}
FUNCTIONS(BODY)

#define ROW(want, function, arguments) { #function, want, call_##function },
static const struct row {
	const char *name;
	enum end want;
	void (*call)(void);
} rows[] = { FUNCTIONS(ROW) };

static void be_quiet(void)
{
	const struct rlimit none = { 0, 0 };

	signal(SIGABRT, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	close(STDERR_FILENO);
}

static enum end end_of(const struct row *row)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		be_quiet();
		row->call();
		_exit(hba_error()[0] ? NAMED : FINE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status))
		return ENDS;
	return WEXITSTATUS(status) == FINE || WEXITSTATUS(status) == NAMED
		       ? (enum end)WEXITSTATUS(status)
		       : ENDS;
}

static void never_silence(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum end end = end_of(&rows[i]);

		if (end == rows[i].want)
			continue;
		print_error("%s(NULL): %d, not %d\n", rows[i].name, end, rows[i].want);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(never_silence) };

	return cmocka_run_group_tests_name("core: null", tests, NULL, NULL);
}
