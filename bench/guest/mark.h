/* SPDX-License-Identifier: MIT */
/*
 * mark.h: how a program in a guest tells the counter outside where it is: by an instruction that
 * does nothing.
 *
 * It is a long NOP with an address that is never looked at: the counter knows it by its bytes when
 * QEMU translates it, the processor by nothing. So the same program runs as well without a counter,
 * and on real hardware.
 */
#ifndef BENCH_MARK_H
#define BENCH_MARK_H

enum mark {
	MARK_NONE,
	MARK_BEGIN, /* count from here */
	MARK_END,   /* tell what was counted */
	MARK_TURN,  /* a look whether there is work */
	MARK_IDLE,  /* there was none: from MARK_TURN to the next one was waiting */
};

/* NOPW disp32(rax, rax): the kind, then three bytes that no compiler would choose. */
#define MARK_HEAD 0x66, 0x0f, 0x1f, 0x84, 0x00
#define MARK_TAIL 0x4b, 0x42, 0x48
enum { MARK_KIND_AT = 5, MARK_BYTES = 9 };

#define MARK_TEXT_(...) #__VA_ARGS__
#define MARK_TEXT(...)  MARK_TEXT_(__VA_ARGS__)
#define mark_here(kind)                                                                          \
	__asm__ volatile(".byte " MARK_TEXT(MARK_HEAD) ", %c0, " MARK_TEXT(MARK_TAIL)::"i"(kind) \
			 : "memory")

#endif
