/* Which of a repository's tags are versions, and in what order (reference 09 §7.3, semver mode). No network here. */
#pragma once

#include "base/value.h"
#include "resources/loose_version.h"

typedef struct {
        const char *variant;                 /* "": none */
        const VersionConstraint *constraint; /* NULL: any */
        bool pre_releases;
        const Value *prefixes; /* list of text, besides alpha, beta and rc; may be NULL */
} VersionRules;

/* Finds digests of tags. digests: as many as tags, of char *, NULL at first; what stays NULL is a tag that is gone. */
typedef bool (*DigestsFn)(const GPtrArray *tags, GPtrArray *digests, void *data, GError **error);

typedef struct {
        const VersionRules *rules;
        const GPtrArray *tags;                /* of char *, in the registry's order */
        const char *given_tag, *given_digest; /* the version to go on from; NULL: from the first */
        DigestsFn digests;
        void *data;
} VersionSearch;

/* *ret is new: a list of {"tag", "digest"}, in ascending order, the bare tag (latest, or the variant) last. */
bool registry_versions(const VersionSearch *search, Value **ret, GError **error);
/* {"tag": …, "digest": …}; returns new. */
Value *registry_version(const char *tag, const char *digest);
