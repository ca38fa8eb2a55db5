#!/bin/sh
# SPDX-License-Identifier: MIT
# test-count.sh COUNT.SO: the plug-in of make bench-guest counts exactly, on a processor that runs a ROM of known instructions.
. "$(dirname "$0")/../lib/lib.sh"
plugin=$1
requires qemu-system-x86_64 as ld

# Between the marks: 3; a loop, 1 + 10 × 2; 2 before a repeated store, whose hundred rounds do not count; MARK_TURN; then 8 that are
# waiting, the second MARK_TURN among them; MARK_END. The byte at port 0xf4 ends QEMU.
counted=28
idle=8
cat >"$tmp/rom.s" <<'ROM'
	.macro mark kind
	.byte 0x66, 0x0f, 0x1f, 0x84, 0x00, \kind, 0x4b, 0x42, 0x48
	.endm
	.set begin, 1
	.set end, 2
	.set turn, 3
	.set idle, 4
	.set scratch, 0x1000
	.code32
	.globl flat
flat:	mov $16, %ax
	mov %ax, %ds
	mov %ax, %es
	mark begin
	.rept 3
	nop
	.endr
	mov $10, %ecx
1:	nop
	loop 1b
	mov $100, %ecx
	mov $scratch, %edi
	rep stosb
	mark turn
	.rept 5
	nop
	.endr
	mark idle
	nop
	mark turn
	mark end
	out %al, $0xf4
2:	hlt
	jmp 2b
	.align 8
gdt:	.quad 0
	.quad 0x00cf9a000000ffff
	.quad 0x00cf92000000ffff
gdtr:	.word 23
	.long gdt
	.code16
real:	cli
	lgdtl %cs:(gdtr - flat)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $8, $flat
	.org 0xfff0
	jmp real
	.org 0x10000
ROM
as --32 -o "$tmp/rom.o" "$tmp/rom.s"
ld -m elf_i386 -Ttext=0xffff0000 -e flat --oformat binary -o "$tmp/rom" "$tmp/rom.o"

run() { # option
  # QEMU ends with what was written to the port, doubled, and one.
  timeout 60 qemu-system-x86_64 -machine q35 -accel tcg -m 2 -nodefaults -no-user-config -display none -bios "$tmp/rom" \
    -device isa-debug-exit,iobase=0xf4,iosize=4 -plugin "$plugin,out=$tmp/out$1" >"$tmp/said" 2>&1 || true
  [ "$(head -n 1 "$tmp/out")" = "counted $counted idle $idle" ] || fail "$1: $(cat "$tmp/out" "$tmp/said"), not $counted and $idle"
}

run ""
[ "$(wc -l <"$tmp/out")" -eq 1 ] || fail "more than was asked for: $(cat "$tmp/out")"
run ",profile=on"
# A profile knows blocks only: some begin before a mark or end behind it.
awk '/^at 0xffff/ { n += $3 } END { exit !(n > 15 && n < 40) }' "$tmp/out" || fail "the profile: $(cat "$tmp/out")"

if qemu-system-x86_64 -machine none -display none -plugin "$plugin" >"$tmp/said" 2>&1; then
  fail "without out=FILE it started"
fi
grep -q "out=FILE is missing" "$tmp/said" || fail "without out=FILE it said: $(cat "$tmp/said")"
