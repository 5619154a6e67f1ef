/* Constraints on versions: alternatives (||) of requirements (by commas or blanks), each an operator and a version
 * whose missing or starred parts stand for any. */
#include "resources/loose_version.h"

#include <string.h>

typedef enum {
        OPERATOR_EQUAL,
        OPERATOR_NOT_EQUAL,
        OPERATOR_GREATER,
        OPERATOR_LESS,
        OPERATOR_GREATER_EQUAL,
        OPERATOR_LESS_EQUAL,
        OPERATOR_TILDE,
        OPERATOR_CARET,
} Operator;

/* Longer ones first: no name hides another. */
static const struct {
        const char *name;
        Operator operator;
} operators[] = {
        { "!=", OPERATOR_NOT_EQUAL },     { ">=", OPERATOR_GREATER_EQUAL },
        { "=>", OPERATOR_GREATER_EQUAL }, { "<=", OPERATOR_LESS_EQUAL },
        { "=<", OPERATOR_LESS_EQUAL },    { "~>", OPERATOR_TILDE },
        { "=", OPERATOR_EQUAL },          { ">", OPERATOR_GREATER },
        { "<", OPERATOR_LESS },           { "~", OPERATOR_TILDE },
        { "^", OPERATOR_CARET },
};

typedef struct {
        Operator operator;
        LooseVersion version;
        size_t given; /* of its parts: 0 (any version) to 3 */
} Requirement;

struct VersionConstraint {
        GPtrArray *alternatives; /* of GPtrArray of Requirement */
};

static void requirement_free(void *data) {
        Requirement *requirement = data;
        loose_version_clear(&requirement->version);
        g_free(requirement);
}

void version_constraint_free(VersionConstraint *constraint) {
        if (!constraint)
                return;
        g_ptr_array_unref(constraint->alternatives);
        g_free(constraint);
}

/* ---- reading ---- */

static bool is_any(char letter) {
        return letter == 'x' || letter == 'X' || letter == '*';
}

/* A version with its missing and starred parts as zeros: "1.x" gives "1.0.0" and one given part. Parts behind a
 * starred one do not count. Returns new text. */
static char *concrete(const char *text, size_t *ret_given) {
        GString *version = g_string_new(NULL);
        bool counting = true;
        *ret_given = 0;
        text += *text == 'v';
        for (size_t i = 0; i < 3; i++) {
                size_t length = 0;
                if (i == 0 || *text == '.') {
                        text += i > 0;
                        length = is_any(*text) ? 1 : strspn(text, "0123456789");
                        if (length == 0) /* what the version's parser then refuses */
                                break;
                }
                counting = counting && length > 0 && !is_any(*text);
                g_string_append(version, i > 0 ? "." : "");
                if (counting)
                        g_string_append_len(version, text, (gssize) length);
                else
                        g_string_append_c(version, '0');
                *ret_given += counting;
                text += length;
        }
        g_string_append(version, text);
        return g_string_free(version, false);
}

static Operator read_operator(const char **cursor) {
        for (size_t i = 0; i < G_N_ELEMENTS(operators); i++)
                if (g_str_has_prefix(*cursor, operators[i].name)) {
                        *cursor += strlen(operators[i].name);
                        *cursor += strspn(*cursor, " \t");
                        return operators[i].operator;
                }
        return OPERATOR_EQUAL;
}

static Requirement *requirement_new(Operator operator, const char * text) {
        g_autofree Requirement *requirement = g_new0(Requirement, 1);
        g_autofree char *version = concrete(text, &requirement->given);
        requirement->operator= operator;
        return loose_version_parse(version, &requirement->version) ? g_steal_pointer(&requirement)
                                                                   : NULL;
}

/* Reads one "~> 1.2", or "1.2 - 1.4", which is two. Returns false on anything else. */
static bool read_requirement(const char **cursor, GPtrArray *requirements) {
        const char *start = *cursor;
        Operator operator= read_operator(cursor);
        bool plain = *cursor == start;
        size_t length = strcspn(*cursor, " \t,");
        g_autofree char *version = g_strndup(*cursor, length);
        *cursor += length;
        const char *dash = *cursor + strspn(*cursor, " \t");
        bool range = plain && dash > *cursor && *dash == '-' && (dash[1] == ' ' || dash[1] == '\t');
        Requirement *first = requirement_new(range ? OPERATOR_GREATER_EQUAL : operator, version);
        if (!first)
                return false;
        g_ptr_array_add(requirements, first);
        if (!range)
                return true;
        dash += 1 + strspn(dash + 1, " \t");
        length = strcspn(dash, " \t,");
        g_autofree char *last = g_strndup(dash, length);
        *cursor = dash + length;
        Requirement *second = requirement_new(OPERATOR_LESS_EQUAL, last);
        if (second)
                g_ptr_array_add(requirements, second);
        return second != NULL;
}

static bool read_alternative(const char *text, GPtrArray *requirements) {
        const char *cursor = text + strspn(text, " \t");
        if (!*cursor)
                return false;
        while (*cursor) {
                if (!read_requirement(&cursor, requirements))
                        return false;
                cursor += strspn(cursor, " \t");
                if (*cursor == ',') {
                        cursor++;
                        cursor += strspn(cursor, " \t");
                        if (!*cursor)
                                return false;
                }
        }
        return true;
}

VersionConstraint *version_constraint_parse(const char *text, GError **error) {
        g_autoptr(VersionConstraint) constraint = g_new0(VersionConstraint, 1);
        constraint->alternatives = g_ptr_array_new_with_free_func(
                (GDestroyNotify) g_ptr_array_unref);
        g_auto(GStrv) parts = g_strsplit(text, "||", -1);
        for (size_t i = 0; i == 0 || parts[i]; i++) {
                GPtrArray *requirements = g_ptr_array_new_with_free_func(requirement_free);
                g_ptr_array_add(constraint->alternatives, requirements);
                if (!parts[i] || !read_alternative(parts[i], requirements)) {
                        g_set_error(error, ERROR, ERROR_INVALID, "improper constraint: %s", text);
                        return NULL;
                }
        }
        return g_steal_pointer(&constraint);
}

/* ---- meeting ---- */

/* Whether the first `count` parts are the same. */
static bool parts_equal(const LooseVersion *a, const LooseVersion *b, size_t count) {
        for (size_t i = 0; i < count; i++)
                if (a->part[i] != b->part[i])
                        return false;
        return true;
}

/* At least this, with the same major and, if it was given, minor; "*" and "~0.0.0" are any. */
static bool meets_tilde(const Requirement *requirement, const LooseVersion *version) {
        static const LooseVersion zero = { 0 };
        const LooseVersion *wanted = &requirement->version;
        if (loose_version_compare(version, wanted) < 0)
                return false;
        if (parts_equal(wanted, &zero, 3) && (requirement->given == 0 || requirement->given == 3))
                return true;
        return parts_equal(version, wanted, requirement->given > 1 ? 2 : 1);
}

/* At least this, with the same leftmost part that is not zero. */
static bool meets_caret(const Requirement *requirement, const LooseVersion *version) {
        const LooseVersion *wanted = &requirement->version;
        if (loose_version_compare(version, wanted) < 0)
                return false;
        if (requirement->given == 0)
                return true;
        size_t significant = 0;
        while (significant + 1 < requirement->given && wanted->part[significant] == 0)
                significant++;
        return parts_equal(version, wanted, significant + 1);
}

/* The version's order against the parts that were given: ">11" is not met by 11.1. */
static int compare_given(const Requirement *requirement, const LooseVersion *version) {
        if (requirement->given == 3)
                return loose_version_compare(version, &requirement->version);
        for (size_t i = 0; i < requirement->given; i++)
                if (version->part[i] != requirement->version.part[i])
                        return version->part[i] < requirement->version.part[i] ? -1 : 1;
        return 0;
}

static bool requirement_meets(const Requirement *requirement, const LooseVersion *version) {
        const LooseVersion *wanted = &requirement->version;
        if (*version->pre_release && !*wanted->pre_release)
                return requirement->operator== OPERATOR_NOT_EQUAL && requirement->given == 3;
        switch (requirement->operator) {
        case OPERATOR_EQUAL:
                if (requirement->given < 3)
                        return meets_tilde(requirement, version);
                return loose_version_compare(version, wanted) == 0;
        case OPERATOR_NOT_EQUAL:
                return compare_given(requirement, version) != 0;
        case OPERATOR_GREATER:
                return compare_given(requirement, version) > 0;
        case OPERATOR_LESS:
                return loose_version_compare(version, wanted) < 0;
        case OPERATOR_GREATER_EQUAL:
                return loose_version_compare(version, wanted) >= 0;
        case OPERATOR_LESS_EQUAL:
                return compare_given(requirement, version) <= 0;
        case OPERATOR_TILDE:
                return meets_tilde(requirement, version);
        case OPERATOR_CARET:
                return meets_caret(requirement, version);
        }
        g_assert_not_reached();
}

bool version_constraint_meets(const VersionConstraint *constraint, const LooseVersion *version) {
        for (guint i = 0; i < constraint->alternatives->len; i++) {
                const GPtrArray *requirements = constraint->alternatives->pdata[i];
                bool met = true;
                for (guint j = 0; j < requirements->len; j++)
                        met = met && requirement_meets(requirements->pdata[j], version);
                if (met)
                        return true;
        }
        return false;
}
