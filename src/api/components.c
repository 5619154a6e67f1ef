/* What the server does by itself: when it ran, and pausing it (reference 01 §20). */
#include "api/handlers.h"

#include "api/present.h"

void list_components(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) components = component_list(call->store, &error);

        if (!components) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < components->len; i++) {
                const Component *component = components->pdata[i];
                g_autofree char *ran = present_time(component->last_ran);
                Value *map = value_map();
                value_map_set_string(map, "name", component->name);
                value_map_set_int(map, "interval", component->interval);
                value_map_set_string(map, "last_ran", ran);
                value_map_set_bool(map, "paused", component->paused);
                value_list_add(list, map);
        }
        call_answer(call, 200, list);
}

static void set_paused(ApiCall *call, const char *name, bool paused) {
        g_autoptr(GError) error = NULL;
        bool done = component_set_paused(call->store, name, paused, &error);

        call_done(call, done, error);
}

void pause_all_components(ApiCall *call) {
        set_paused(call, NULL, true);
}

void unpause_all_components(ApiCall *call) {
        set_paused(call, NULL, false);
}

void pause_component(ApiCall *call) {
        set_paused(call, call_param(call, "component_name"), true);
}

void unpause_component(ApiCall *call) {
        set_paused(call, call_param(call, "component_name"), false);
}
