/* What the files about volumes share. */
#pragma once

#include "store/internal.h"

#define VOLUME_SELECT                                                                                                     \
        "SELECT v.id, v.team_id, v.worker_id, v.container_id, v.parent_id, v.handle, w.name, "                            \
        "c.handle, p.handle, v.path, v.state, x.resource_cache_id, v.task_cache_id, "                                     \
        "v.artifact_id, b.name, v.certs, v.missing_since, v.downloads_config_id FROM volumes v JOIN workers w ON w.id = " \
        "v.worker_id LEFT JOIN containers c ON c.id = v.container_id LEFT JOIN volumes p ON p.id "                        \
        "= v.parent_id LEFT JOIN worker_resource_caches x ON x.id = v.worker_resource_cache_id "                          \
        "LEFT JOIN worker_base_types y ON y.id = v.worker_base_type_id LEFT JOIN "                                        \
        "base_resource_types b ON b.id = y.base_resource_type_id "

void *row_volume(Store *store, DbRows *rows, GError **error); /* RowFn of VOLUME_SELECT */
