/* SPDX-License-Identifier: MIT */
/*
 * log.h: log lines for people. The library never prints; it passes finished lines to the callback
 * in hba_options::log.
 */
#ifndef HBAKIT_LOG_H
#define HBAKIT_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum hba_log_level { HBA_LOG_ERROR, HBA_LOG_WARNING, HBA_LOG_INFO, HBA_LOG_DEBUG };

/**
 * hba_log_fn - Receives one line without a newline, valid until it returns. Any thread of the
 * controller; must not call hbakit.
 */
typedef void (*hba_log_fn)(enum hba_log_level level, const char *line, void *arg);

#ifdef __cplusplus
}
#endif
#endif
