/* SPDX-License-Identifier: MIT */
/*
 * sym53c8xx-regs.h: the Symbios/LSI 53C8xx family: registers, SCRIPTS instructions, tables. Facts
 * only, no code.
 *
 * From the LSI53C895A technical manual (registers, chapter 4; SCRIPTS, chapter 5); the names are
 * the manual's. Message codes: SCSI-2, 6.6.
 */
#ifndef DRIVERS_SYM53C8XX_REGS_H
#define DRIVERS_SYM53C8XX_REGS_H

#include <assert.h>
#include <hbakit/bus.h>

enum {
	SYM_VENDOR = 0x1000,
	SYM_810 = 0x0001,
	SYM_825 = 0x0003,
	SYM_860 = 0x0006,
	SYM_1510D = 0x000a,
	SYM_896 = 0x000b,
	SYM_895 = 0x000c,
	SYM_875 = 0x000f,
	SYM_895A = 0x0012,
};

enum { SYM_BAR_IO = 0, SYM_BAR_MEMORY = 1, SYM_BAR_BYTES = 256 };

/* Bytes, but for those with a width. */
enum sym_reg {
	SYM_SCNTL0 = 0x00,
	SYM_SCNTL1 = 0x01,
	SYM_SCNTL2 = 0x02,
	SYM_SCNTL3 = 0x03,
	SYM_SCID = 0x04,
	SYM_SXFER = 0x05,
	SYM_SSID = 0x0a,
	SYM_DSTAT = 0x0c, /* reading clears it */
	SYM_SSTAT0 = 0x0d,
	SYM_SSTAT1 = 0x0e,
	SYM_SSTAT2 = 0x0f,
	SYM_DSA = 0x10, /* 32 bits */
	SYM_ISTAT = 0x14,
	SYM_CTEST2 = 0x1a, /* reading clears SIGP */
	SYM_CTEST3 = 0x1b,
	SYM_DFIFO = 0x20,
	SYM_DBC = 0x24,  /* 24 bits; DCMD is above them */
	SYM_DSP = 0x2c,  /* 32 bits; writing starts SCRIPTS */
	SYM_DSPS = 0x30, /* 32 bits */
	SYM_DMODE = 0x38,
	SYM_DIEN = 0x39,
	SYM_DCNTL = 0x3b,
	SYM_SIEN0 = 0x40,
	SYM_SIEN1 = 0x41,
	SYM_SIST0 = 0x42, /* reading clears both */
	SYM_SIST1 = 0x43,
	SYM_STIME0 = 0x48,
	SYM_RESPID0 = 0x4a,
	SYM_STEST3 = 0x4f,
};

enum { SYM_SCNTL0_ARBITRATE = 0xc0, SYM_SCNTL0_EPC = 0x08, SYM_SCNTL0_AAP = 0x02 };
enum { SYM_SCNTL1_RST = 0x08, SYM_SCNTL1_CON = 0x10 };
enum { SYM_SCNTL2_WSR = 0x01, SYM_SCNTL2_WSS = 0x08, SYM_SCNTL2_SDU = 0x80 };
enum {
	SYM_SCNTL3_EWS = 0x08,
	SYM_SCNTL3_SCF_SHIFT = 4,
	SYM_SCNTL3_CCF_50_MHZ = 0x03 /* 37.51 to 50 MHz: SCLK / 2 */
};
enum { SYM_SCID_RRE = 0x40 };
enum { SYM_SXFER_TP_SHIFT = 5, SYM_SXFER_LEAST_TP = 4, SYM_SXFER_MOST_TP = 11 };
enum { SYM_SSID_VAL = 0x80, SYM_SSID_ID = 0x0f };
enum {
	SYM_DSTAT_IID = 0x01,
	SYM_DSTAT_SIR = 0x04,
	SYM_DSTAT_ABRT = 0x10,
	SYM_DSTAT_BF = 0x20,
	SYM_DSTAT_MDPE = 0x40
};
enum {
	SYM_SSTAT0_ORF = 0x40,
	SYM_SSTAT0_OLF = 0x20,
	SYM_SSTAT2_ORF1 = 0x40,
	SYM_SSTAT2_OLF1 = 0x20
};
enum { SYM_SSTAT1_PHASE = 0x07 };
enum {
	SYM_ISTAT_DIP = 0x01,
	SYM_ISTAT_SIP = 0x02,
	SYM_ISTAT_SIGP = 0x20,
	SYM_ISTAT_SRST = 0x40,
	SYM_ISTAT_ABRT = 0x80,
};
enum { SYM_CTEST3_CLF = 0x04, SYM_STEST3_CSF = 0x02, SYM_STEST3_TE = 0x80 };
/* the count of the small FIFO, which is what CTEST5 chooses after a reset */
enum { SYM_DFIFO_SMALL = 0x7f };
enum { SYM_DMODE_BURST_8 = 0x80 };
enum { SYM_DCNTL_COM = 0x01 };
enum {
	SYM_SIST0_PAR = 0x01,
	SYM_SIST0_RST = 0x02,
	SYM_SIST0_UDC = 0x04,
	SYM_SIST0_SGE = 0x08,
	SYM_SIST0_MA = 0x80,
	SYM_SIST1_STO = 0x04,
};
enum { SYM_STIME0_410_MS = 0x0d };

/* Phases, as SSTAT1 and instructions have them: MSG, C/D, I/O. */
enum sym_phase {
	SYM_DATA_OUT = 0,
	SYM_DATA_IN = 1,
	SYM_COMMAND = 2,
	SYM_STATUS = 3,
	SYM_MESSAGE_OUT = 6,
	SYM_MESSAGE_IN = 7
};

/* SCRIPTS: two words, the second an address. A phase goes into bits 24 to 26. */
enum sym_insn {
	SYM_CHMOV = 0x00000000U, /* block move, chained: an odd byte waits for the next one */
	SYM_MOVE = 0x08000000U,  /* block move */
	SYM_TABLE = 0x10000000U, /* count and address are in the table at DSA + the second word */
	/*
	 * with ATN; bits 0 to 23: where in the table who is selected, and how; address: if
	 * reselected
	 */
	SYM_SELECT = 0x43000000U,
	SYM_WAIT_DISCONNECT = 0x48000000U,
	SYM_WAIT_RESELECT = 0x50000000U, /* address: if SIGP is set */
	SYM_SET = 0x58000000U,
	SYM_CLEAR = 0x60000000U,
	SYM_TO_SFBR = 0x72000000U, /* register | 0, register in bits 16 to 23 */
	SYM_AND = 0x7c000000U,     /* register & bits 8 to 15 */
	SYM_JUMP = 0x80000000U,
	SYM_INT = 0x98000000U, /* DSPS gets the second word */
	/* of SET and CLEAR */
	SYM_ACK = 0x00000040U,
	SYM_ATN = 0x00000008U,
	/* of JUMP and INT */
	SYM_IF = 0x00080000U,    /* what follows is true; otherwise: is not */
	SYM_PHASE = 0x00020000U, /* bits 24 to 26 are the bus's phase */
	SYM_WHEN = 0x00030000U,  /* the same, once there is a phase */
	SYM_DATA = 0x00040000U,  /* SFBR is bits 0 to 7, but for the bits set in 8 to 15 */
};
enum { SYM_INSN_BYTES = 8, SYM_PHASE_SHIFT = 24, SYM_REGISTER_SHIFT = 16, SYM_MASK_SHIFT = 8 };

/* What a table indirect block move reads: 24 bits of count. */
struct sym_entry {
	hba_le32 count, address;
};
static_assert(sizeof(struct sym_entry) == 8, "two words");
enum { SYM_MOST_COUNT = 0xffffff };

/* What SELECT reads: SCNTL3, id, SXFER, reserved, from the top. */
#define SYM_SELECT_WORD(scntl3, id, sxfer) \
	((uint32_t)(scntl3) << 24 | (uint32_t)(id) << 16 | (uint32_t)(sxfer) << 8)

enum sym_message {
	SYM_MSG_COMPLETE = 0x00,
	SYM_MSG_EXTENDED = 0x01,
	SYM_MSG_SAVE_POINTERS = 0x02,
	SYM_MSG_RESTORE_POINTERS = 0x03,
	SYM_MSG_DISCONNECT = 0x04,
	SYM_MSG_ABORT = 0x06,
	SYM_MSG_REJECT = 0x07,
	SYM_MSG_NOP = 0x08,
	SYM_MSG_BUS_DEVICE_RESET = 0x0c,
	SYM_MSG_ABORT_TAG = 0x0d,
	SYM_MSG_CLEAR_QUEUE = 0x0e,
	SYM_MSG_SIMPLE_TAG = 0x20,
	SYM_MSG_HEAD_TAG = 0x21,
	SYM_MSG_ORDERED_TAG = 0x22,
	SYM_MSG_IGNORE_WIDE_RESIDUE = 0x23,
	SYM_MSG_IDENTIFY = 0x80,
	SYM_MSG_IDENTIFY_DISCONNECT = 0x40, /* may it disconnect? */
	SYM_MSG_IDENTIFY_LUN = 0x07,
};
enum { SYM_MSG_TWO_BYTES = 0x20, SYM_MSG_TWO_BYTES_MASK = 0x0f }; /* 20h to 2Fh */
enum { SYM_EXT_SDTR = 0x01, SYM_EXT_SDTR_LENGTH = 3, SYM_EXT_WDTR = 0x03, SYM_EXT_WDTR_LENGTH = 2 };

#endif
