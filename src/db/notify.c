#include "db/driver.h"

#include <string.h>

struct Notes {
        GPtrArray *list; /* of Note, owned */
        GHashTable *set; /* the same */
};

static guint note_hash(const void *key) {
        const Note *note = key;
        return g_str_hash(note->channel) * 31 + g_str_hash(note->payload);
}

static gboolean note_equal(const void *a, const void *b) {
        const Note *left = a, *right = b;
        return g_str_equal(left->channel, right->channel) &&
               g_str_equal(left->payload, right->payload);
}

static void note_free(void *data) {
        Note *note = data;
        g_free(note->channel);
        g_free(note->payload);
        g_free(note);
}

Notes *notes_new(void) {
        Notes *notes = g_new0(Notes, 1);
        notes->list = g_ptr_array_new_with_free_func(note_free);
        notes->set = g_hash_table_new(note_hash, note_equal);
        return notes;
}

void notes_add(Notes *notes, const char *channel, const char *payload) {
        const Note probe = { (char *) channel, (char *) payload };
        if (g_hash_table_contains(notes->set, &probe))
                return;
        Note *note = g_new0(Note, 1);
        *note = (Note){ g_strdup(channel), g_strdup(payload) };
        g_ptr_array_add(notes->list, note);
        g_hash_table_add(notes->set, note);
}

void notes_merge(Notes *notes, const Notes *from) {
        for (size_t i = 0; i < notes_length(from); i++)
                notes_add(notes, notes_at(from, i)->channel, notes_at(from, i)->payload);
}

void notes_clear(Notes *notes) {
        g_hash_table_remove_all(notes->set);
        g_ptr_array_set_size(notes->list, 0);
}

size_t notes_length(const Notes *notes) {
        return notes->list->len;
}

const Note *notes_at(const Notes *notes, size_t index) {
        return notes->list->pdata[index];
}

void notes_free(Notes *notes) {
        if (!notes)
                return;
        g_hash_table_unref(notes->set);
        g_ptr_array_unref(notes->list);
        g_free(notes);
}

/* ---- listeners ---- */

typedef struct {
        DbNotifyFn fn;
        void *data;
} Listener;

struct Listeners {
        Mutex mutex;
        GArray *list; /* of Listener; only grows */
};

Listeners *listeners_new(void) {
        Listeners *listeners = g_new0(Listeners, 1);
        mutex_init(&listeners->mutex);
        listeners->list = g_array_new(false, false, sizeof(Listener));
        return listeners;
}

void listeners_add(Listeners *listeners, DbNotifyFn fn, void *data) {
        MUTEX_SCOPE(&listeners->mutex);
        Listener listener = { fn, data };
        g_array_append_val(listeners->list, listener);
}

static bool listener_at(Listeners *listeners, guint index, Listener *ret) {
        MUTEX_SCOPE(&listeners->mutex);
        if (index >= listeners->list->len)
                return false;
        *ret = g_array_index(listeners->list, Listener, index);
        return true;
}

void listeners_call(Listeners *listeners, const char *channel, const char *payload) {
        Listener listener;
        for (guint i = 0; listener_at(listeners, i, &listener); i++)
                listener.fn(channel, payload, listener.data);
}

void listeners_free(Listeners *listeners) {
        if (!listeners)
                return;
        mutex_destroy(&listeners->mutex);
        g_array_unref(listeners->list);
        g_free(listeners);
}
