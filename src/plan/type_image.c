/* How the images of custom resource types are checked for and fetched (reference 04 §2.3, §2.4). */
#include "plan/type_image.h"

#define CHECKING_INTERVAL_DEFAULT DURATION_MINUTE

/* Types below a type. Each level needs a get and a check, each of which needs the level below: plans double. A longer
 * chain ends in what looks like a base type, which no worker has. */
#define TYPE_CHAIN_MAX 8

static const ResourceTypeConfig *find_type(const GPtrArray *types, const char *name) {
        for (size_t i = 0; types && i < types->len; i++) {
                const ResourceTypeConfig *type = g_ptr_array_index(types, i);
                if (g_str_equal(type->name, name))
                        return type;
        }
        return NULL;
}

const Value *planner_source_defaults(const GPtrArray *resource_types,
                                     const Value *base_type_defaults, const char *type) {
        const ResourceTypeConfig *custom = find_type(resource_types, type);
        return custom ? custom->defaults : value_get(base_type_defaults, type);
}

Value *source_with_defaults(const GPtrArray *types, const Value *base_type_defaults,
                            const char *type, const Value *source) {
        return source_merge(planner_source_defaults(types, base_type_defaults, type), source);
}

CheckEvery interval_or_default(const CheckEvery *every, Duration otherwise) {
        if (every && every->is_set && (every->never || every->interval != 0))
                return *every;
        return (CheckEvery){ .is_set = true,
                             .interval = otherwise > 0 ? otherwise : CHECKING_INTERVAL_DEFAULT };
}

GPtrArray *types_without(const GPtrArray *types, const ResourceTypeConfig *excluded) {
        GPtrArray *rest = g_ptr_array_new();
        for (size_t i = 0; types && i < types->len; i++)
                if (g_ptr_array_index(types, i) != excluded)
                        g_ptr_array_add(rest, g_ptr_array_index(types, i));
        return rest;
}

/* What the get and the check of an image have in common. */
typedef struct {
        const char *name;
        const char *type;
        const char *resource_type; /* NULL: of a task's image */
        const Value *source;
        const Value *params;
        const Value *version; /* NULL: it is checked for */
        const char *const *tags;
        CheckEvery interval;
} ImageSteps;

static void type_image(const PlannerImage *image, size_t level, TypeImage *ret);

static Plan *image_check(const PlannerImage *image, const ImageSteps *steps, size_t level) {
        Plan *plan = plan_new(g_strdup_printf("%s/image-check", image->plan_id), PLAN_CHECK);
        CheckPlan *check = plan->check;
        plan_set_text(&check->name, steps->name);
        plan_set_text(&check->type, steps->type);
        check->source = value_ref(steps->source);
        plan_set_text(&check->resource_type, steps->resource_type);
        check->interval = steps->interval;
        check->skip_interval = image->skip_interval;
        check->tags = g_strdupv((char **) steps->tags);
        PlannerImage below = *image;
        below.plan_id = plan->id;
        below.type = steps->type;
        below.tags = steps->tags;
        type_image(&below, level + 1, &check->image);
        return plan;
}

static Plan *image_get(const PlannerImage *image, const ImageSteps *steps, const Plan *check,
                       size_t level) {
        Plan *plan = plan_new(g_strdup_printf("%s/image-get", image->plan_id), PLAN_GET);
        GetPlan *get = plan->get;
        plan_set_text(&get->name, steps->name);
        plan_set_text(&get->type, steps->type);
        get->source = value_ref(steps->source);
        get->params = value_ref(steps->params);
        get->tags = g_strdupv((char **) steps->tags);
        if (check)
                plan_set_text(&get->version_from, check->id);
        else
                get->version = value_ref(steps->version);
        PlannerImage below = *image;
        below.plan_id = plan->id;
        below.type = steps->type;
        below.tags = steps->tags;
        type_image(&below, level + 1, &get->image);
        return plan;
}

static void set_base_type(TypeImage *image, const char *base_type) {
        g_free(image->base_type);
        image->base_type = g_strdup(base_type);
}

static void type_image(const PlannerImage *image, size_t level, TypeImage *ret) {
        const ResourceTypeConfig *type = find_type(image->resource_types, image->type);
        if (!type || level >= TYPE_CHAIN_MAX) {
                set_base_type(ret, image->type);
                return;
        }
        /* Each level down has one type less: that ends cycles. */
        g_autoptr(GPtrArray) parents = types_without(image->resource_types, type);
        g_autoptr(Value) source = source_with_defaults(parents, image->base_type_defaults,
                                                       type->type, type->source);
        PlannerImage parent = *image;
        parent.resource_types = parents;
        ImageSteps steps = {
                .name = type->name,
                .type = type->type,
                .resource_type = type->name,
                .source = source,
                .params = type->params,
                .tags = type->tags ? (const char *const *) type->tags : image->tags,
                .interval = interval_or_default(&type->check_every, image->checking_interval),
        };
        ret->check_plan = image_check(&parent, &steps, level);
        ret->get_plan = image_get(&parent, &steps, ret->check_plan, level);
        ret->privileged = type->privileged;
        set_base_type(ret, ret->get_plan->get->image.base_type);
}

void planner_type_image(const PlannerImage *image, TypeImage *ret) {
        type_image(image, 0, ret);
}

void planner_task_image(const PlannerImage *image, const ImageResourceConfig *resource,
                        Plan **ret_check, Plan **ret_get) {
        ImageSteps steps = {
                .name = *resource->name ? resource->name : "image",
                .type = resource->type,
                .source = resource->source,
                .params = resource->params,
                .version = resource->version,
                .tags = resource->tags ? (const char *const *) resource->tags : image->tags,
                .interval = interval_or_default(NULL, image->checking_interval),
        };
        *ret_check = resource->version ? NULL : image_check(image, &steps, 0);
        *ret_get = image_get(image, &steps, *ret_check, 0);
}
