/* Tar streams out of and into the working directory. Runs in a confined child of the helper: it
 * parses what strangers send. */
#pragma once

#include "wire/baggageclaim.h"

#include <sys/types.h>

struct archive_entry;

/* Entries of one archive. */
#define UNPACK_ENTRIES_MAX (16 * 1024 * 1024)
/* Owners beyond a container's range become this one. */
#define UNPACK_NOBODY 65534

typedef struct {
        int fd; /* of the stream */
        VolumeEncoding encoding;
        bool devices;
        bool any_owner;
        uint64_t disk_reserve;
} UnpackSpec;

/* Makes every entry of the stream below the working directory, whose root should be "/". Owners
 * are numbers. ERROR_INVALID for a bad archive. Reads to the stream's end. */
bool unpack(const UnpackSpec *spec, GError **error);

/* What unpack makes of one entry before it is written: leading slashes go; ".." anywhere, device
 * nodes (unless allowed) and overlay whiteouts are refused; owners beyond the range become
 * nobody's and lose set-id bits (unless any_owner); of extended attributes only user.* and file capabilities stay. */
bool unpack_entry_clean(struct archive_entry *entry, const UnpackSpec *spec, GError **error);

/* Leaves only attributes that may travel: user.* and file capabilities; no ACLs, no flags. */
void archive_attributes_clean(struct archive_entry *entry);

typedef struct {
        int fd;
        VolumeEncoding encoding;
        const char *name; /* in the working directory: "." or a file */
        bool follow_symlinks;
} PackSpec;

bool pack(const PackSpec *spec, GError **error);
