/*
 * ICU's data with nothing in it, in the place of Foundation's own 34 MB of languages, calendars and time zones: what ICU
 * calls stub data. Linked before Foundation's archive it keeps that member of it out. Nothing here formats for a language:
 * Scripts/package fails where a module of this project refers to FoundationInternationalization.
 *
 * The name has ICU's version. With another one Foundation brings its own data again, and the binary is larger.
 */
#include "CNoLanguages.h"

#include <stdint.h>

struct header {
	uint16_t size;
	uint8_t magic[2];
	uint16_t information_size, reserved;
	uint8_t is_big_endian, character_set, character_size, reserved_octet;
	uint8_t format[4], format_version[4], data_version[4];
	uint8_t padding[8];
	uint32_t entry_count, reserved_entry;
	uint32_t entries[4];
};

_Static_assert(sizeof(struct header) == 56, "");

_Alignas(16) const struct header icudt76_dat = {
	.size = 32,
	.magic = { 0xda, 0x27 },
	.information_size = 20,
	.character_size = 2,
	.format = { 'T', 'o', 'C', 'P' },
	.format_version = { 1 },
};
