/* SPDX-License-Identifier: MIT */
/*
 * The first sector of the drive from which the nested machine boots: has the firmware
 * read the sector after it, adds one to each byte, writes it back, reads it once more,
 * and says on the serial port whether it is what was written.
 */
	.set buffer, 0x8000
	.set again, 0x8200

	.code16
	.globl _start
_start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movb %dl, drive

	movw $started, %si
	call say
	movb $0x42, %ah
	call transfer
	movw $512, %cx
	movw $buffer, %si
1:	incb (%si)
	incw %si
	loop 1b
	movb $0x43, %ah
	call transfer
	movw $again, packet + 4
	movb $0x42, %ah
	call transfer
	movw $buffer, %si
	movw $again, %di
	movw $256, %cx
	repe cmpsw
	movw $different, %si
	jne 1f
	movw $done, %si
1:	call say
2:	hlt
	jmp 2b

transfer:
	movb drive, %dl
	movw $packet, %si
	movb $0, %al
	int $0x13
	jc failed
	ret

failed:
	movw $error, %si
	call say
	jmp 2b

say:
	movw $0x3fd, %dx
3:	inb %dx, %al
	testb $0x20, %al
	jz 3b
	lodsb
	testb %al, %al
	jz 4f
	movw $0x3f8, %dx
	outb %al, %dx
	jmp say
4:	ret

packet:	.byte 16, 0
	.word 1
	.word buffer, 0
	.long 1, 0
drive:	.byte 0
started: .asciz "sector: started\n"
done:	.asciz "sector: done\n"
different: .asciz "sector: it is not what was written\n"
error:	.asciz "sector: the firmware reports an error\n"

	.org 510
	.word 0xaa55
