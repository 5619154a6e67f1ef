/* Versions and constraints as pipelines write them: Masterminds' semver, version 3, read loosely. */
#pragma once

#include "base/error.h"

typedef struct {
        uint64_t part[3];  /* major, minor, patch */
        char *pre_release; /* "rc.1"; "" when there is none */
        char *build;       /* without "+"; "" when there is none */
} LooseVersion;

void loose_version_clear(LooseVersion *version);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LooseVersion, loose_version_clear)

/* "v1.2-rc.1+x": an optional v, one to three numbers, a pre-release, a build. Returns false on anything else. */
bool loose_version_parse(const char *text, LooseVersion *ret);
/* By semver's precedence: builds do not count. Returns as strcmp(). */
int loose_version_compare(const LooseVersion *a, const LooseVersion *b);
/* "1.2.0-rc.1+x". Returns new. */
char *loose_version_text(const LooseVersion *version);

/* "^1.2, !=1.3.x || 3 - 4": alternatives of requirements. */
typedef struct VersionConstraint VersionConstraint;
/* ERROR_INVALID "improper constraint: …". Returns new. */
VersionConstraint *version_constraint_parse(const char *text, GError **error);
void version_constraint_free(VersionConstraint *constraint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VersionConstraint, version_constraint_free)
/* A pre-release meets only requirements that carry a pre-release themselves. */
bool version_constraint_meets(const VersionConstraint *constraint, const LooseVersion *version);
